import { DormiceError } from "@dormice/protocol";
import type { FastifySchemaCompiler } from "fastify";
import type { TSchema } from "typebox";
import { Compile } from "typebox/compile";
import { Value } from "typebox/value";

const NAMES: Record<string, string> = { querystring: "query", params: "path", headers: "headers", body: "body" };

/** Checks requests against our schemas. Bodies are taken as they are; a query is text, so `limit=5` means 5. */
export const compileSchema: FastifySchemaCompiler<TSchema> = ({ schema, httpPart = "body" }) => {
	const check = Compile(schema);
	return (value: unknown) => {
		const read = httpPart === "body" ? value : Value.Convert(schema, value);
		if (check.Check(read)) return { value: read };
		const [first] = check.Errors(read);
		const where = `${NAMES[httpPart] ?? httpPart}${first?.instancePath.replaceAll("/", ".") ?? ""}`;
		return { error: new DormiceError("invalid_argument", `${where}: ${first?.message ?? "is not valid"}`) };
	};
};
