import type { Link } from "./link.ts";
import { callSupervisor } from "./supervisor.ts";

/** A program in the sandbox that is told of its sleep; an executable of this name in `/etc/dormice/hooks`. */
export type HookName = "pre-sleep" | "post-wake";

/** What a hook is to know. */
export interface HookCall {
	name: HookName;
	/** How long the sandbox was not there. */
	gapSeconds: number;
	/** The stored state that is being made, or that it came from. */
	generation: string;
}

/** The supervisor ends a hook after 5 s; it gets a little longer to say so. */
const TIMEOUT_MS = 6_500;

/** Runs a hook, if it is there, and answers which are. A hook that fails is the sandbox's own affair, and in its log. */
export async function runHook(link: Link, hook: HookCall): Promise<string[]> {
	const call = { method: "POST", path: "/dormice/hooks", body: () => ({ hook }), timeoutMs: TIMEOUT_MS } as const;
	const { status, body } = await callSupervisor(link, call);
	if (status !== 200) throw new Error(`the supervisor answered ${status}`);
	return parseHooks(JSON.parse(body));
}

/** The hooks that an answer of the supervisor names. */
export function parseHooks(answer: unknown): string[] {
	const hooks = typeof answer === "object" && answer !== null && "hooks" in answer ? answer.hooks : undefined;
	return Array.isArray(hooks) ? hooks.slice(0, 8).filter((name) => typeof name === "string") : [];
}
