/** Statements that write nothing, lock rows at most. The others are taken for writes. */
export const READS = /^\s*select\b/i
