/** Compiled, never run: `is<Equal<A, B>>()` fails to compile unless both are the same type. */
export type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
export declare function is<T extends true>(): T
