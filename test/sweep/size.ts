/** `npm run test:sweep` says so: everything in full length. Else each case once, or a few times. */
export const isFull: boolean = process.env['REPLYTO_SWEEP'] === 'full'
