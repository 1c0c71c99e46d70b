import { readFileSync, statSync } from "node:fs";
import { DormiceError } from "@dormice/protocol";

export interface User {
	readonly name: string;
	readonly uid: number;
	readonly gid: number;
	/** Every group the user is in, `gid` first. */
	readonly groups: readonly number[];
	readonly home: string;
	readonly shell: string;
}

interface Accounts {
	readonly users: ReadonlyMap<string, User>;
	readonly userNames: ReadonlyMap<number, string>;
	readonly groupNames: ReadonlyMap<number, string>;
}

/** Reads the formats of passwd(5) and group(5). The first line of a name or number counts, as for the C library. */
export function parseAccounts(passwd: string, group: string): Accounts {
	const users = new Map<string, User>();
	const userNames = new Map<number, string>();
	const groupNames = new Map<number, string>();
	const memberships = new Map<string, number[]>();
	for (const [name = "", , gid, members = ""] of records(group)) {
		const number = idOf(gid);
		if (number === undefined) continue;
		if (!groupNames.has(number)) groupNames.set(number, name);
		for (const member of members.split(",").filter(Boolean)) {
			memberships.set(member, [...(memberships.get(member) ?? []), number]);
		}
	}
	for (const [name = "", , uidText, gidText, , home, shell] of records(passwd)) {
		const uid = idOf(uidText);
		const gid = idOf(gidText);
		if (uid === undefined || gid === undefined || users.has(name)) continue;
		const groups = [...new Set([gid, ...(memberships.get(name) ?? [])])];
		users.set(name, { name, uid, gid, groups, home: home || "/", shell: shell || "/bin/sh" });
		if (!userNames.has(uid)) userNames.set(uid, name);
	}
	return { users, userNames, groupNames };
}

/** A user's or group's number, strictly: neither an empty field nor 2^32 may become root's 0. */
function idOf(text = ""): number | undefined {
	const number = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
	return number < 0xffffffff ? number : undefined;
}

function records(text: string): string[][] {
	return text
		.split("\n")
		.filter((line) => line && !line.startsWith("#"))
		.map((line) => line.split(":"));
}

/** The accounts of the sandbox's own /etc, read again when they change. */
export class Users {
	#accounts = parseAccounts("", "");
	#version = "";

	/** Throws `unauthenticated` when there is no such user. */
	find(name: string): User {
		const user = this.#read().users.get(name);
		// An image without accounts still has its root.
		if (!user && name === "root") return { name, uid: 0, gid: 0, groups: [0], home: "/root", shell: "/bin/sh" };
		if (!user) throw new DormiceError("unauthenticated", `invalid username: '${name}'`);
		return user;
	}

	userName(uid: number): string {
		return this.#read().userNames.get(uid) ?? String(uid);
	}

	groupName(gid: number): string {
		return this.#read().groupNames.get(gid) ?? String(gid);
	}

	#read(): Accounts {
		const version = stamp("/etc/passwd") + stamp("/etc/group");
		if (version === this.#version) return this.#accounts;
		this.#accounts = parseAccounts(readIfThere("/etc/passwd"), readIfThere("/etc/group"));
		this.#version = version;
		return this.#accounts;
	}
}

function stamp(path: string): string {
	const info = statSync(path, { throwIfNoEntry: false });
	return info ? `${info.ino}:${info.size}:${info.mtimeMs};` : "-;";
}

function readIfThere(path: string): string {
	// Whoever is root inside may put a FIFO there, and reading that would stop the whole supervisor.
	return statSync(path, { throwIfNoEntry: false })?.isFile() ? readFileSync(path, "utf8") : "";
}
