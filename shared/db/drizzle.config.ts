import { defineConfig } from 'drizzle-kit'

export default defineConfig({
  dialect: 'mysql',
  schema: './shared/db/schema.ts',
  out: './shared/db/migrations',
})
