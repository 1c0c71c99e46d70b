import { Type } from "typebox";

export const tags = ["sandboxes"];

/** `/sandboxes/:sandboxID/…` */
export const SandboxParams = Type.Object({ sandboxID: Type.String() });

/** A state of a sandbox's history, by its id or its label. */
export const GenerationReference = Type.String({ minLength: 1, maxLength: 64 });

/** Seconds. An int32, as on E2B's wire. */
export const Seconds = Type.Integer({ minimum: -(2 ** 31), maximum: 2 ** 31 - 1 });

export const Milliseconds = Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 });

const Strings = Type.Array(Type.String(), { maxItems: 1024 });
export const StringMap = Type.Record(Type.String(), Type.String());

const egress = {
	allowOut: Type.Optional(Strings),
	denyOut: Type.Optional(Strings),
	egressProxy: Type.Optional(
		Type.Union([
			Type.Object({
				address: Type.String(),
				username: Type.Optional(Type.String()),
				password: Type.Optional(Type.String()),
			}),
			Type.Null(),
		]),
	),
	rules: Type.Optional(
		Type.Record(
			Type.String(),
			Type.Array(Type.Object({ transform: Type.Optional(Type.Object({ headers: Type.Optional(StringMap) })) })),
		),
	),
};

export const EgressBody = Type.Object({ ...egress, allow_internet_access: Type.Optional(Type.Boolean()) });

const NetworkBody = Type.Object({
	...egress,
	allowPublicTraffic: Type.Optional(Type.Boolean()),
	maskRequestHost: Type.Optional(Type.String()),
	httpsPorts: Type.Optional(Type.Array(Type.Integer())),
});

/** What keeps a sandbox apart; `auto` is the strongest that the host gives unasked. */
export const IsolationWish = Type.Union([Type.Literal("microvm"), Type.Literal("gvisor"), Type.Literal("auto")]);

export const DozeMode = Type.Union([Type.Literal("idle"), Type.Literal("always")]);

/** How many stored states are kept. */
export const Kept = Type.Integer({ minimum: 0, maximum: 10_000 });
export const RetentionBody = Type.Object({
	last: Type.Optional(Kept),
	checkpoints: Type.Optional(Kept),
	daily: Type.Optional(Kept),
});

/** What a client may say when it makes a sandbox. */
export const CreateBody = Type.Object({
	templateID: Type.String({ minLength: 1, maxLength: 256 }),
	timeout: Type.Optional(Seconds),
	autoPause: Type.Optional(Type.Boolean()),
	autoPauseMemory: Type.Optional(Type.Boolean()),
	autoResume: Type.Optional(Type.Object({ enabled: Type.Optional(Type.Boolean()) })),
	secure: Type.Optional(Type.Boolean()),
	allow_internet_access: Type.Optional(Type.Boolean()),
	network: Type.Optional(NetworkBody),
	metadata: Type.Optional(StringMap),
	envVars: Type.Optional(StringMap),
	mcp: Type.Optional(Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Null()])),
	// Ours, and E2B's clients say it in `metadata` as `dormice.isolation`.
	isolation: Type.Optional(IsolationWish),
	// What of its history it keeps; ours, and E2B's clients say it in `metadata` as `dormice.keepLast` and so on.
	retention: Type.Optional(RetentionBody),
	// How it rests when nobody needs it; ours, and E2B's clients say it in `metadata` as `dormice.doze` and so on.
	doze: Type.Optional(DozeMode),
	dozeAfterMs: Type.Optional(Milliseconds),
	sleepAfterMs: Type.Optional(Milliseconds),
	volumeMounts: Type.Optional(Type.Array(Type.Object({ name: Type.String(), path: Type.String() }))),
});
