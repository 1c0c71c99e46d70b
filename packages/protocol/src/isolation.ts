/** What keeps a sandbox apart from its host and from the others, the strongest first. */
export const ISOLATIONS = ["microvm", "gvisor"] as const;

export type Isolation = (typeof ISOLATIONS)[number];

export function isIsolation(text: string): text is Isolation {
	return (ISOLATIONS as readonly string[]).includes(text);
}

/** Whether the one keeps less apart than the other. */
export function isWeaker(one: Isolation, other: Isolation): boolean {
	return ISOLATIONS.indexOf(one) > ISOLATIONS.indexOf(other);
}
