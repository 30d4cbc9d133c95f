import { describe, it } from 'vitest'
import { MemoryStore } from '../../stores/memory/index.ts'
import { ReferenceStore } from '../reference/store.ts'
import { ScriptedStore } from '../scripted-store.ts'
import { storeConformance } from './index.ts'

storeConformance('memory', () => new MemoryStore(), { describe, it })
// A store that answers with promises, as remote ones do.
storeConformance('memory, asked from afar', () => new ScriptedStore(new MemoryStore()), { describe, it })
// The reference is held to the same, or the model-based suite would prove nothing.
storeConformance('reference', () => new ReferenceStore(), { describe, it })
