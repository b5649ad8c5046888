/** The promise, or the error of `onLate` after so many milliseconds. Leaves no timer behind. */
export async function within<T>(promise: Promise<T>, timeoutMs: number, onLate: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(onLate()), timeoutMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
