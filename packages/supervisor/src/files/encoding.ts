/**
 * A body's encodings we can answer in; undefined: none that the client accepts.
 *
 * Clients built on `fetch` always list every coding they can read, and compressing costs more than it saves on the way
 * out of a sandbox: gzip is for who names nothing else, or weighs it above identity.
 */
export function negotiateEncoding(acceptEncoding: string | undefined): "gzip" | "identity" | undefined {
	const weights = new Map<string, number>();
	for (const item of (acceptEncoding ?? "").split(",")) {
		const [name = "", ...parameters] = item.split(";").map((text) => text.trim().toLowerCase());
		if (name === "") continue;
		const weight = Number(parameters.find((text) => text.startsWith("q="))?.slice(2) ?? 1);
		weights.set(name === "x-gzip" ? "gzip" : name, Number.isFinite(weight) ? weight : 0);
	}
	const gzip = weights.get("gzip") ?? weights.get("*") ?? 0;
	const identity = weights.get("identity") ?? weights.get("*");
	const only = weights.size === 1 && weights.has("gzip");
	if (gzip > 0 && (only || (identity !== undefined && gzip > identity))) return "gzip";
	// Identity is always acceptable unless it is ruled out by name or by a `*;q=0`.
	return identity === 0 ? undefined : "identity";
}
