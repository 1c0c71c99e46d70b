/** What a key may do: what is its own team's, or what is the platform's too. */
export type Role = "operator" | "member";

/** Whose key a route asks for: an operator's, or anybody's, for what belongs to the key's own team. */
export type Access = Role;

/** Whether a key of this role may call a route with this access. */
export function mayCall(role: Role, access: Access): boolean {
	return role === "operator" || access === "member";
}
