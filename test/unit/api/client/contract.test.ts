import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Static } from 'typebox'
import { type ErrorCode, errorCodes } from '#shared/contract/error-code.ts'
import { Problem, Result } from '#shared/contract/result.ts'
import type * as client from '../../../../services/api/client/client.ts'
import type { Analysis } from '../../../../services/api/routes/analyze.ts'
import type { Cancellation } from '../../../../services/api/routes/cancellations.ts'
import type { TakeOrder } from '../../../../services/api/routes/generations.ts'
import type { PresignedUpload, Upload } from '../../../../services/api/routes/uploads.ts'

/** Compiles only for types that are the same in every field, be it an optional one. */
function same<A, B>(..._: Same<A, B> extends true ? [] : [never]): void {}

type Same<A, B> = (<T>() => T extends Plain<A> ? 1 : 2) extends <T>() => T extends Plain<B> ? 1 : 2 ? true : false

/** However it is put together. */
type Plain<T> = T extends object ? { [K in keyof T]: Plain<T[K]> } : T

test('the types of the client are those of the schemas', () => {
  same<client.Result, Static<typeof Result>>()
  same<client.Problem, Static<typeof Problem>>()
  same<client.ErrorCode, ErrorCode>()
  same<client.UploadOrder, Static<typeof Upload>>()
  same<client.PresignedUpload, Static<typeof PresignedUpload>>()
  same<client.TakeOrder, Static<typeof TakeOrder>>()
  same<client.Cancellation, Static<typeof Cancellation>>()
  same<client.Analysis, Static<typeof Analysis>>()
  // @ts-expect-error: an optional field more makes another type
  same<client.Result, Omit<client.Result, 'take'>>()
  assert.ok(Result && Problem && errorCodes)
})
