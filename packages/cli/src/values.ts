import { InvalidArgumentError } from "commander";

/** Collects repeated `NAME=VALUE` options. */
export function parseAssignment(text: string, sofar: Record<string, string> = {}): Record<string, string> {
	const equals = text.indexOf("=");
	if (equals < 1) throw new InvalidArgumentError("write it as NAME=VALUE");
	return { ...sofar, [text.slice(0, equals)]: text.slice(equals + 1) };
}

/** A whole number of seconds; 0 has a meaning of its own. */
export function parseDelay(text: string): number {
	return text === "0" ? 0 : parseSeconds(text);
}

/** A whole number of seconds, at least 1. */
export function parseSeconds(text: string): number {
	const seconds = Number(text);
	if (/^\d+$/.test(text) && seconds > 0) return seconds;
	throw new InvalidArgumentError("seconds are a whole number greater than 0");
}

/** A port; 0 is any that is free. */
export function parseAnyPort(text: string): number {
	return text === "0" ? 0 : parsePort(text);
}

export function parsePort(text: string): number {
	const port = Number(text);
	if (/^\d{1,5}$/.test(text) && port >= 1 && port <= 65535) return port;
	throw new InvalidArgumentError("a port is a number from 1 to 65535");
}

/** A whole number, 0 or more. */
export function parseNumber(text: string): number {
	if (/^\d{1,15}$/.test(text)) return Number(text);
	throw new InvalidArgumentError("it is a whole number, 0 or more");
}

/** What a setting is given to take it back: its value is the platform's again. */
export type TakenBack = "default";
const TAKEN_BACK: TakenBack = "default";

/** As `parse` reads it, or what takes it back. Commander makes an empty text of null. */
export function orDefault<T>(parse: (text: string) => T): (text: string) => T | TakenBack {
	return (text) => (text === TAKEN_BACK ? TAKEN_BACK : parse(text));
}

/** As the API has it: null for what is taken back. */
export function orNull<T>(value: T | TakenBack): T | null {
	return value === TAKEN_BACK ? null : (value as T);
}

/** One of these words. */
export function parseWord<Word extends string>(words: readonly Word[]): (text: string) => Word {
	return (text) => {
		const found = words.find((word) => word === text);
		if (found !== undefined) return found;
		throw new InvalidArgumentError(`it is one of ${words.join(", ")}`);
	};
}
