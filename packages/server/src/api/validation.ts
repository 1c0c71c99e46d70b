import { DormiceError } from "@dormice/protocol";
import type { FastifyRequest, FastifySchemaCompiler } from "fastify";
import type { TSchema } from "typebox";
import { Compile } from "typebox/compile";
import { Value } from "typebox/value";

const NAMES: Record<string, string> = { querystring: "query", params: "path", headers: "headers", body: "body" };

/** No request of ours is anywhere near as deep. */
const MAX_DEPTH = 32;

/** Every string of a request, keys too, whatever its route makes of it. Throws `invalid_argument` saying where the bad one is. */
export function checkTexts({ params, query, body }: Pick<FastifyRequest, "params" | "query" | "body">): void {
	for (const [name, value] of Object.entries({ path: params, query, body })) checkTextsIn(name, value);
}

/** Without recursion: how deep a body is nested is its sender's choice. */
function checkTextsIn(name: string, value: unknown): void {
	const left = [{ where: name, value, depth: 0 }];
	for (let next = left.pop(); next !== undefined; next = left.pop()) {
		const { where, value, depth } = next;
		if (typeof value === "string") checkText(where, value);
		if (typeof value !== "object" || value === null) continue;
		if (depth >= MAX_DEPTH) refuse(name, `nested deeper than ${MAX_DEPTH} levels`);
		for (const [key, inner] of Object.entries(value)) {
			checkText(`${where}, the name of a field`, key);
			left.push({ where: `${where}.${key}`, value: inner, depth: depth + 1 });
		}
	}
}

/** PostgreSQL stores no NUL, and half of a surrogate pair is no text at all. */
function checkText(where: string, text: string): void {
	if (text.includes("\0")) refuse(where, "has a NUL character, which no text may have");
	if (!text.isWellFormed()) refuse(where, "has half of a surrogate pair, which is no text");
}

function refuse(where: string, message: string): never {
	throw new DormiceError("invalid_argument", `${where.slice(0, 200).toWellFormed()}: ${message}`);
}

/**
 * Checks requests against our schemas. Bodies are taken as they are; a query is text, so `limit=5` means 5. What a schema
 * allows and does not know gets no further: clients may send what they like, and none of it is stored.
 */
export const compileSchema: FastifySchemaCompiler<TSchema> = ({ schema, httpPart = "body" }) => {
	const check = Compile(schema);
	return (value: unknown) => {
		const read = httpPart === "body" ? value : Value.Convert(schema, value);
		if (check.Check(read)) return { value: Value.Clean(schema, read) };
		const [first] = check.Errors(read);
		const where = `${NAMES[httpPart] ?? httpPart}${first?.instancePath.replaceAll("/", ".") ?? ""}`;
		return { error: new DormiceError("invalid_argument", `${where}: ${first?.message ?? "is not valid"}`) };
	};
};
