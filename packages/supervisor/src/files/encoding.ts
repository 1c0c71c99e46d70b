/** A body's encodings we can answer in; undefined: none that the client accepts. */
export function negotiateEncoding(acceptEncoding: string | undefined): "gzip" | "identity" | undefined {
	const weights = new Map<string, number>();
	for (const item of (acceptEncoding ?? "").split(",")) {
		const [name = "", ...parameters] = item.split(";").map((text) => text.trim().toLowerCase());
		if (name === "") continue;
		const weight = Number(parameters.find((text) => text.startsWith("q="))?.slice(2) ?? 1);
		weights.set(name, Number.isFinite(weight) ? weight : 0);
	}
	const gzip = weights.get("gzip") ?? weights.get("x-gzip") ?? weights.get("*") ?? 0;
	// Identity is always acceptable unless it is ruled out by name or by a `*;q=0`.
	const identity = weights.get("identity") ?? (weights.get("*") === 0 ? 0 : undefined);
	if (gzip > 0 && gzip >= (identity ?? 0)) return "gzip";
	return identity === 0 ? undefined : "identity";
}
