import type { IncomingMessage, ServerResponse } from "node:http";
import { posix } from "node:path";
import { DormiceError } from "@dormice/protocol";
import { readJson, sendJson, stringList, text } from "../http/json.ts";
import { basicUser, type Sandbox } from "../sandbox/sandbox.ts";
import type { User } from "../users/users.ts";
import { composeFile } from "./compose.ts";
import { sendDownload } from "./download.ts";
import type { Placer } from "./place.ts";
import { checkSignature, type Operation } from "./signature.ts";
import { receiveUpload } from "./upload.ts";

export interface FilesOptions {
	readonly sandbox: Sandbox;
	readonly placer: Placer;
}

type Handler = (request: IncomingMessage, response: ServerResponse, url: URL) => Promise<void>;

/** `/files` and `/files/compose`. */
export function filesRoutes({ sandbox, placer }: FilesOptions): { files: Handler; compose: Handler } {
	return {
		async files(request, response, url) {
			if (request.method === "GET" || request.method === "HEAD") {
				admit(request, url, "read");
				const user = userOf(request, url);
				await sendDownload(sandbox.path(query(url, "path") ?? "", user), request, response);
			} else if (request.method === "POST") {
				admit(request, url, "write");
				const upload = { sandbox, placer, user: userOf(request, url), path: query(url, "path") };
				sendJson(response, 200, await receiveUpload(request, upload));
			} else {
				throw new DormiceError("route_not_found", `${request.method} is not a method of /files`);
			}
		},

		async compose(request, response, url) {
			const body = await readJson(request);
			const user = userOf(request, url, text(body, "username"));
			const sources = stringList(body, "source_paths").map((path) => sandbox.path(path, user));
			const destination = sandbox.path(text(body, "destination") ?? "", user);
			await composeFile(placer, { sources, destination }, { user, metadata: {} });
			sendJson(response, 200, { path: destination, name: posix.basename(destination), type: "file" });
		},
	};

	/** The access token, or a signature made with it. */
	function admit(request: IncomingMessage, url: URL, operation: Operation): void {
		const header = request.headers["x-access-token"];
		if (sandbox.accessToken === undefined || (typeof header === "string" && sandbox.admits(header))) return;
		if (header !== undefined) throw new DormiceError("unauthenticated", "invalid access token");
		const [path = "", user = ""] = [query(url, "path"), query(url, "username")];
		const part = { path, operation, user, expiration: query(url, "signature_expiration") };
		checkSignature(part, query(url, "signature"), sandbox.accessToken);
	}

	function userOf(request: IncomingMessage, url: URL, named?: string): User {
		// A signature covers the query and no header: without a user name in it, the link is for the default user.
		const header = query(url, "signature") === undefined ? request.headers.authorization : undefined;
		const name = named ?? query(url, "username") ?? basicUser(header);
		try {
			return sandbox.user(name ?? undefined);
		} catch (error) {
			const message = error instanceof Error ? error.message : String(error);
			throw new DormiceError("unauthenticated", `error looking up user '${name}': ${message}`, { cause: error });
		}
	}
}

/** A parameter that may be there once: with two, each reader could mean another. */
function query(url: URL, name: string): string | undefined {
	const [value, ...more] = url.searchParams.getAll(name);
	if (more.length > 0) throw new DormiceError("invalid_argument", `the query parameter '${name}' appears twice`);
	return value;
}
