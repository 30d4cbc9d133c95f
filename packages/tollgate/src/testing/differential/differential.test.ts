import { it } from 'vitest'
import { MemoryStore } from '../../stores/memory/index.ts'
import { differential } from './index.ts'

it('memory', async () => {
  await differential(() => new MemoryStore(), { runs: process.env.TOLLGATE_LONG ? 5000 : 200 })
})
