/** Compiled, never run: `is<Equal<A, B>>()` fails to compile unless both are the same type. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- comparing two generic functions is the trick
export type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- its constraint is the check
export declare function is<T extends true>(): T
