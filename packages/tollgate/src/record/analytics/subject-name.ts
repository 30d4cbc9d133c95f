/** A subject as the record keeps it, back in its own letters; of one that is too long, its digest; null of one that was erased. */
export function subjectName(key: string | null): string | null {
  return key === null || key.startsWith('"') ? key : (JSON.parse(`"${key}"`) as string)
}
