import { describe, it } from 'vitest'
import { MemoryStore } from '../../stores/memory/index.ts'
import { ReferenceStore } from '../reference/store.ts'
import { storeConformance } from './index.ts'

storeConformance('memory', () => new MemoryStore(), { describe, it })
// The reference is held to the same, or the model-based suite would prove nothing.
storeConformance('reference', () => new ReferenceStore(), { describe, it })
