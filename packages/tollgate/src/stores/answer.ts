/** What came of one command of several that ran together. */
export type Answer<A> = { readonly value: A } | { readonly error: unknown }
