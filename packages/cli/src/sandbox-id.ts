import { DormiceError, isId } from "@dormice/protocol";
import type { Sandboxes } from "@dormice/sdk";

/** How many of several are named. */
const NAMED = 5;

/** The id that somebody means, who may have written only as much of it as no other has. */
export async function fullId(sandboxes: Sandboxes, text: string): Promise<string> {
	if (isId("sandbox", text) || text === "") return text;
	const ids = await Array.fromAsync(sandboxes.list(), ({ sandboxId }) => sandboxId);
	return matchId(ids, text);
}

/** Pure. What fits none is left to the platform to refuse. */
export function matchId(ids: readonly string[], text: string): string {
	const fitting = ids.filter((id) => id.startsWith(text));
	if (fitting.length <= 1) return fitting[0] ?? text;
	const named = [...fitting.slice(0, NAMED), ...(fitting.length > NAMED ? ["…"] : [])].join(", ");
	throw new DormiceError("invalid_argument", `'${text}' may be any of ${fitting.length} sandboxes: ${named}`);
}
