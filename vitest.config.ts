import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

export default defineConfig({
  resolve: {
    alias: [
      { find: /^replyto$/, replacement: source('./index.ts') },
      { find: /^replyto\/contract$/, replacement: source('./contract/index.ts') },
      { find: /^replyto\/embedded$/, replacement: source('./broker-adapters/embedded/index.ts') },
      { find: /^replyto\/adapter$/, replacement: source('./broker-adapters/index.ts') },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['dist/**', 'node_modules/**'],
    testTimeout: 20_000,
    hookTimeout: 20_000,
    unstubGlobals: true,
    dangerouslyIgnoreUnhandledErrors: false,
  },
})
