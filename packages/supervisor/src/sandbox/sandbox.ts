import { createHash, timingSafeEqual } from "node:crypto";
import { resolvePath } from "../users/path.ts";
import { type User, Users } from "../users/users.ts";

/** What this sandbox has been told about itself. Everything here is replaced by `/init`. */
export class Sandbox {
	readonly users = new Users();
	accessToken: string | undefined;
	/** Until somebody says otherwise, the one user every image has. */
	defaultUser = "root";
	defaultWorkdir: string | undefined;
	/** What it was given last, at its birth. */
	machineId: string | undefined;
	/** For every process; a request may override them. */
	envs: Readonly<Record<string, string>> = {};
	/** For every process, and nobody overrides them. */
	fixedEnvs: Readonly<Record<string, string>> = { E2B_SANDBOX: "true" };

	/** The user a request asks for: `undefined` is the default. */
	user(name: string | undefined): User {
		return this.users.find(name || this.defaultUser);
	}

	/** A client's path as the user means it. */
	path(path: string, user: User): string {
		return resolvePath(path, { home: user.home, workdir: this.defaultWorkdir });
	}

	/** Whether `token` opens this sandbox; before any was set, anything does. */
	admits(token: string | undefined): boolean {
		return this.accessToken === undefined || (token !== undefined && equalSecrets(token, this.accessToken));
	}
}

/** Equality in a time that says nothing about where two strings differ. */
export function equalSecrets(a: string, b: string): boolean {
	const digest = (text: string) => createHash("sha256").update(text).digest();
	return timingSafeEqual(digest(a), digest(b));
}

/** The user name in a Basic `Authorization` header; its password is not looked at. */
export function basicUser(authorization: string | undefined | null): string | undefined {
	const encoded = /^Basic\s+(\S+)$/i.exec(authorization ?? "")?.[1];
	if (encoded === undefined) return undefined;
	return Buffer.from(encoded, "base64").toString("utf8").split(":", 1)[0] || undefined;
}
