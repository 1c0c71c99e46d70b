import { DormiceError } from "@dormice/protocol";
import type { Subscription } from "../subscription.ts";

const DEFAULT_KEEPALIVE_S = 90;

/** The client's wish for signs of life on a stream that is silent, in milliseconds. */
export function keepaliveMs(header: Headers): number {
	const seconds = Number(header.get("keepalive-ping-interval") || DEFAULT_KEEPALIVE_S);
	return (Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds, 86_400) : DEFAULT_KEEPALIVE_S) * 1000;
}

/** What is queued, as it comes; after each silence of `intervalMs`, `keepalive`. Ends with the subscription. */
export async function* withKeepalive<T, K>(
	subscription: Subscription<T>,
	options: { signal: AbortSignal; intervalMs: number; keepalive: K },
): AsyncGenerator<T | K> {
	for (;;) {
		const taken = await subscription.take(options.intervalMs, options.signal);
		if (taken === "end") return;
		yield taken === "idle" ? options.keepalive : taken.item;
	}
}

/** A field the wire makes optional and the call needs. */
export function required<T>(value: T | undefined, name: string): T {
	if (value === undefined) throw new DormiceError("invalid_argument", `${name} is missing`);
	return value;
}
