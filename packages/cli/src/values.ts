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

/** A whole number, 0 or more. */
export function parseNumber(text: string): number {
	if (/^\d{1,15}$/.test(text)) return Number(text);
	throw new InvalidArgumentError("it is a whole number, 0 or more");
}
