import { DormiceError, type Isolation, isIsolation, isWeaker } from "@dormice/protocol";
import type { Isolations } from "./isolations.ts";

/** What somebody asks for: an isolation by name, or the strongest that the host can give. */
export type IsolationWish = Isolation | "auto";

/** Where a client says it that knows only E2B's fields: in the sandbox's metadata. */
const KEY = "dormice.isolation";

const WEAKEST: Isolation = "gvisor";

/** What a client says of one sandbox, in a field of ours or in its metadata. */
export interface Asked {
	asked: IsolationWish | undefined;
	metadata: Readonly<Record<string, string>>;
}

/** What the host can run; see `Isolations`. */
type Available = Pick<Isolations, "automatic" | "require">;

interface Sources extends Asked {
	template: { isolation: IsolationWish | null };
	/** The least that the team's sandboxes have; null: anything. */
	minimum: Isolation | null;
}

/**
 * What a new sandbox of a template is kept apart by. The first who says something is heard: the client, its template, and
 * else it is `auto`. A client that asks for less than its team's minimum is refused; what a template says is raised to it.
 * Throws `isolation_below_minimum`, `isolation_unavailable`, `invalid_argument`.
 */
export function chooseIsolation(isolations: Available, { asked, metadata, template, minimum }: Sources): Isolation {
	const own = wishOf({ asked, metadata });
	const wish = own ?? template.isolation ?? "auto";
	if (wish === "auto") return unasked(isolations, minimum);
	if (own !== undefined) checkMinimum(wish, minimum);
	const chosen = minimum !== null && isWeaker(wish, minimum) ? minimum : wish;
	isolations.require(chosen);
	return chosen;
}

/** The strongest that the host gives unasked, where that is enough. */
function unasked(isolations: Available, minimum: Isolation | null): Isolation {
	const { automatic } = isolations;
	const least = minimum ?? WEAKEST;
	if (automatic !== undefined && !isWeaker(automatic, least)) return automatic;
	isolations.require(least);
	throw new DormiceError(
		"isolation_unavailable",
		`This host runs ${least} in software emulation only, which nobody gets unasked: ask for isolation '${least}'.`,
	);
}

/** That a stored state goes on with what it was stored by. Throws as `chooseIsolation`, and `generation_incompatible`. */
export function keepIsolation(stored: Isolation, asked: Asked, minimum: Isolation | null): void {
	const wish = wishOf(asked);
	if (wish !== undefined && wish !== "auto" && wish !== stored) {
		throw new DormiceError(
			"generation_incompatible",
			`This state was stored by ${stored}, and what is made from it goes on with that: ask for '${stored}' or for nothing.`,
		);
	}
	checkMinimum(stored, minimum);
}

/** Throws `isolation_below_minimum`. */
export function checkMinimum(isolation: Isolation, minimum: Isolation | null): void {
	if (minimum === null || !isWeaker(isolation, minimum)) return;
	throw new DormiceError(
		"isolation_below_minimum",
		`This team's sandboxes have at least ${minimum}, and ${isolation} is weaker: ask for '${minimum}' or for nothing.`,
	);
}

function wishOf({ asked, metadata }: Asked): IsolationWish | undefined {
	const said = metadata[KEY];
	if (asked !== undefined || said === undefined) return asked;
	if (said === "auto" || isIsolation(said)) return said;
	throw new DormiceError(
		"invalid_argument",
		`metadata ${KEY}: give 'microvm', 'gvisor' or 'auto', not '${said.slice(0, 40)}'`,
	);
}
