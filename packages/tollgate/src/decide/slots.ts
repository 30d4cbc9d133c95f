/**
 * Small integers for the stable identities of cells, in this process only: what travels or is kept on disk is the
 * identity. One number per limit that was ever defined here, so the table stays small.
 */
const slots = new Map<string, number>()

export function slotOf(cell: string): number {
  let slot = slots.get(cell)
  if (slot === undefined) {
    slot = slots.size
    slots.set(cell, slot)
  }
  return slot
}
