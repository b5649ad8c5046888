const EXIT_CODES = { SIGTERM: 143, SIGINT: 130 } as const

/**
 * Calls `onStop` at the first SIGTERM or SIGINT; a second one ends the process at once with the code that shells give to it.
 * Returns the function that ends the listening.
 */
export function listenForStop(onStop: () => void): () => void {
  let isStopping = false
  const onSignal = (signal: NodeJS.Signals): void => {
    if (isStopping) process.exit(signal === 'SIGINT' ? EXIT_CODES.SIGINT : EXIT_CODES.SIGTERM)
    isStopping = true
    onStop()
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  return () => {
    process.off('SIGTERM', onSignal)
    process.off('SIGINT', onSignal)
  }
}
