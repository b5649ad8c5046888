/** Milliseconds that only grow, whatever is done to the wall clock: for waiting. Deadlines on the wire are epoch ms. */
export function monotonicMs(): number {
  return performance.now()
}
