import { randomInt } from "node:crypto";
import { rm } from "node:fs/promises";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { DormiceError, type filesystem as wire } from "@dormice/protocol";
import { filing } from "../errno.ts";
import type { Attributes } from "../files/attributes.ts";
import type { Staging } from "../files/staging.ts";
import { keepaliveMs, withKeepalive } from "../rpc/streaming.ts";
import { basicUser, type Sandbox } from "../sandbox/sandbox.ts";
import type { Spawner } from "../spawner/spawner.ts";
import { makeDirectory } from "./directories.ts";
import { readEntry } from "./entry.ts";
import { listDirectory } from "./list.ts";
import { move } from "./move.ts";
import { Watch } from "./watch.ts";
import type { Watchers } from "./watchers.ts";
import { changeEvent, entryInfo } from "./wire.ts";

type Service = ServiceImpl<typeof wire.Filesystem>;

export interface FilesystemOptions {
	readonly sandbox: Sandbox;
	readonly spawner: Spawner;
	readonly attributes: Attributes;
	readonly staging: Staging;
	readonly watchers: Watchers;
	readonly spawnerPath: string;
}

/** `filesystem.Filesystem` of the E2B wire. */
export function filesystemService(options: FilesystemOptions): Service {
	const { sandbox, spawner, attributes, staging, watchers, spawnerPath } = options;
	const reader = { users: sandbox.users, attributes };
	const kept = new Map<string, { watch: Watch; path: string; includeEntry: boolean }>();

	const userOf = (context: HandlerContext) => sandbox.user(basicUser(context.requestHeader.get("authorization")));
	const pathOf = (path: string, context: HandlerContext) => sandbox.path(path, userOf(context));
	const entryOf = async (path: string) => entryInfo(await readEntry(reader, path));
	const watcherOf = (id: string) => {
		const watcher = kept.get(id);
		if (watcher) return watcher;
		throw new DormiceError("watcher_not_found", `watcher with id ${id} not found`);
	};
	const watch = (request: wire.WatchDirRequest | wire.CreateWatcherRequest, path: string) => {
		const { recursive, allowNetworkMounts } = request;
		return Watch.open({ spawner, watchers, spawnerPath, path, recursive, allowNetworkMounts });
	};

	return {
		stat: async ({ path }, context) => ({ entry: await entryOf(pathOf(path, context)) }),

		async makeDir(request, context) {
			const path = pathOf(request.path, context);
			await makeDirectory(path, userOf(context));
			return { entry: await entryOf(path) };
		},

		async move(request, context) {
			const destination = pathOf(request.destination, context);
			await move(pathOf(request.source, context), destination, { user: userOf(context), attributes, staging });
			return { entry: await entryOf(destination) };
		},

		async listDir(request, context) {
			const entries = await listDirectory(reader, pathOf(request.path, context), request.depth || 1);
			return { entries: entries.map(entryInfo) };
		},

		async remove(request, context) {
			const path = pathOf(request.path, context);
			await filing(`removing '${path}'`, rm(path, { recursive: true, force: true }));
			await attributes.forget(path);
			return {};
		},

		async *watchDir(request, context) {
			const path = pathOf(request.path, context);
			await using watched = await watch(request, path);
			yield { event: { case: "start", value: {} } };
			const options = { signal: context.signal, intervalMs: keepaliveMs(context.requestHeader), keepalive: undefined };
			for await (const change of withKeepalive(watched.changes, options)) {
				if (change === undefined) yield { event: { case: "keepalive", value: {} } };
				else
					yield {
						event: { case: "filesystem", value: await changeEvent(change, request.includeEntry && { reader, path }) },
					};
			}
		},

		async createWatcher(request, context) {
			const path = pathOf(request.path, context);
			const id = `w${Array.from({ length: 20 }, () => randomInt(36).toString(36)).join("")}`;
			kept.set(id, { watch: await watch(request, path), path, includeEntry: request.includeEntry });
			return { watcherId: id };
		},

		async getWatcherEvents(request) {
			const { watch, path, includeEntry } = watcherOf(request.watcherId);
			const events = watch.changes.drain().map((change) => changeEvent(change, includeEntry && { reader, path }));
			return { events: await Promise.all(events) };
		},

		async removeWatcher(request) {
			const { watch } = watcherOf(request.watcherId);
			kept.delete(request.watcherId);
			await watch[Symbol.asyncDispose]();
			return {};
		},
	};
}
