import type { IncomingMessage, ServerResponse } from "node:http";
import { DormiceError } from "@dormice/protocol";

const LARGEST_BODY_BYTES = 8 * 1024 * 1024;

export type JsonObject = Readonly<Record<string, unknown>>;

/** The request's body, which must be a JSON object; an empty one counts as `{}`. */
export async function readJson(request: IncomingMessage): Promise<JsonObject> {
	const chunks: Buffer[] = [];
	let length = 0;
	for await (const chunk of request) {
		length += chunk.length;
		if (length > LARGEST_BODY_BYTES) throw new DormiceError("invalid_argument", "the body is too large");
		chunks.push(chunk);
	}
	if (length === 0) return {};
	let value: unknown;
	try {
		value = JSON.parse(Buffer.concat(chunks).toString("utf8"));
	} catch (error) {
		throw new DormiceError("invalid_argument", "the body is not JSON", { cause: error });
	}
	if (!isObject(value)) throw new DormiceError("invalid_argument", "the body is not a JSON object");
	return value;
}

export function isObject(value: unknown): value is JsonObject {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A field that is a string or absent; `null`, as Go's clients send it, is absent. */
export function text(body: JsonObject, name: string): string | undefined {
	const value = body[name] ?? undefined;
	if (value === undefined || typeof value === "string") return value;
	throw new DormiceError("invalid_argument", `'${name}' must be a string`);
}

export function stringList(body: JsonObject, name: string): string[] {
	const value = body[name] ?? [];
	if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
	throw new DormiceError("invalid_argument", `'${name}' must be a list of strings`);
}

/** A field that maps names to strings, or is absent. */
export function stringMap(body: JsonObject, name: string): Record<string, string> | undefined {
	const value = body[name] ?? undefined;
	if (value === undefined) return undefined;
	if (!isObject(value)) throw new DormiceError("invalid_argument", `'${name}' must be an object`);
	return Object.fromEntries(
		Object.entries(value).map(([key, item]) => {
			if (typeof item !== "string" || `${key}${item}`.includes("\0")) {
				throw new DormiceError("invalid_argument", `'${name}.${key}' must be a string without NUL bytes`);
			}
			return [key, item];
		}),
	);
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
	const bytes = Buffer.from(JSON.stringify(body));
	response.writeHead(status, { "Content-Type": "application/json", "Content-Length": bytes.length }).end(bytes);
}
