import { type Endpoint, refusal, send } from "./endpoint.ts";
import { userHeaders } from "./user.ts";

export interface FileOptions {
	/** On whose behalf; decides what `~` and relative paths mean, and who owns what is written. */
	user?: string;
	signal?: AbortSignal;
}

/** The files of one sandbox. */
export class Files {
	readonly #endpoint: Endpoint;
	readonly #headers: Record<string, string>;

	constructor(endpoint: Endpoint, headers: Record<string, string>) {
		this.#endpoint = endpoint;
		this.#headers = headers;
	}

	async read(path: string, options: FileOptions = {}): Promise<Uint8Array> {
		const response = await this.#call("GET", path, options);
		return new Uint8Array(await response.arrayBuffer());
	}

	/** As `read`, in pieces as they come: for what is too large to have at once. */
	async stream(path: string, options: FileOptions = {}): Promise<ReadableStream<Uint8Array>> {
		const response = await this.#call("GET", path, options);
		return response.body ?? new Blob([]).stream();
	}

	async readText(path: string, options: FileOptions = {}): Promise<string> {
		return new TextDecoder().decode(await this.read(path, options));
	}

	/** Writes the whole file, making its directories; replaces what was there. */
	async write(path: string, data: string | Uint8Array<ArrayBuffer> | Blob, options: FileOptions = {}): Promise<void> {
		await this.#call("POST", path, options, data);
	}

	async #call(method: string, path: string, options: FileOptions, body?: RequestInit["body"]): Promise<Response> {
		const url = new URL(`${this.#endpoint.sandboxUrl.replace(/\/$/, "")}/files`);
		url.searchParams.set("path", path);
		if (options.user !== undefined) url.searchParams.set("username", options.user);
		const response = await send(this.#endpoint, url, {
			method,
			headers: {
				...this.#headers,
				...userHeaders(options.user),
				...(body === undefined ? {} : { "Content-Type": "application/octet-stream" }),
			},
			...(body === undefined ? {} : { body }),
			...(options.signal ? { signal: options.signal } : {}),
		});
		if (!response.ok) throw await refusal(response, `${method} ${path}`);
		return response;
	}
}
