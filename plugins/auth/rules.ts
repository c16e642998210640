// `auth/rules`: who may do what on which repositories, on top of a handler that knows who the caller is.
import type { AccessRequest, Actor, AuthHandler, Grant, Scope } from 'koa-registry';
import {
  Challenge,
  definePlugin,
  grantIf,
  parseCredentials,
  pluginOf,
  RegistryError,
  repositoryGlob,
  repositoryMatcher,
} from 'koa-registry';
import { z } from 'zod';

const ACTIONS = ['pull', 'push', 'delete'] as const;

const names = z.array(z.string().min(1)).default([]);

const rule = z
  .strictObject({
    /** For everybody, logged in or not. Default: false. */
    anonymous: z.boolean().default(false),
    /** For everybody who is logged in. Default: false. */
    authenticated: z.boolean().default(false),
    /** For actors of these names. */
    users: names,
    /** For the members of these groups. */
    groups: names,
    /**
     * Where the actions are allowed: `*` and `?` stay within a component, `**` goes across. `team/**`
     * is all below `team`, and not `team` itself. Default: everywhere.
     */
    repositories: z.array(repositoryGlob()).min(1).optional(),
    /** What is allowed; `*` is all three. A push needs `pull` too. */
    actions: z.array(z.enum([...ACTIONS, '*'])).default([]),
    /** Whether the list of all repositories is allowed. Default: false. */
    catalog: z.boolean().default(false),
  })
  .superRefine(({ anonymous, authenticated, users, groups, actions, catalog, repositories }, context) => {
    const say = (message: string) => context.addIssue({ code: 'custom', message });
    if (!anonymous && !authenticated && users.length + groups.length === 0) {
      say('is for nobody: say anonymous, authenticated, users or groups');
    }
    if (actions.length === 0 && !catalog) say('allows nothing: say actions or catalog');
    if (actions.length === 0 && repositories !== undefined) say('names repositories, and no actions on them');
  });

const options = z.strictObject({
  /** Knows who the caller is. What it refuses stays refused. */
  handler: pluginOf('auth'),
  /** What no rule allows is refused. */
  rules: z.array(rule).min(1, 'must have at least one rule'),
  /** The members of groups by name, besides what the handler says of an actor's groups. */
  groups: z.record(z.string().min(1), z.array(z.string().min(1))).default({}),
});

type Allows = (scope: Scope) => boolean;

interface Rule {
  isFor(actor: Actor | undefined): boolean;
  readonly allows: Allows;
}

function compile(written: z.output<typeof rule>): Rule {
  const { anonymous, authenticated, catalog } = written;
  const [users, groups] = [new Set(written.users), new Set(written.groups)];
  const actions = new Set<string>(written.actions.includes('*') ? ACTIONS : written.actions);
  const matches = repositoryMatcher(written.repositories ?? ['**']);
  return {
    isFor(actor) {
      if (anonymous || actor === undefined) return anonymous;
      return authenticated || users.has(actor.name) || (actor.groups?.some((group) => groups.has(group)) ?? false);
    },
    allows({ type, name, action }) {
      if (type === 'repository') return actions.has(action) && matches(name);
      return catalog && name === 'catalog' && action === '*';
    },
  };
}

/** The groups of each user. */
function memberships(groups: Readonly<Record<string, readonly string[]>>): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const [group, members] of Object.entries(groups)) {
    for (const member of members) found.set(member, [...(found.get(member) ?? []), group]);
  }
  return found;
}

/**
 * What both the handler and the rules allow besides the request. A handler that cannot say has allowed
 * nothing; but of the catalogue, which would be shown whole, the rules may hide what they do not allow.
 */
function alsoAllowed({ required }: AccessRequest, grant: Grant, allows: Allows): Pick<Grant, 'allows'> {
  if (grant.allows !== undefined) {
    return { allows: async (scope) => allows(scope) && ((await grant.allows?.(scope)) ?? false) };
  }
  return required.some(({ type }) => type === 'registry') ? { allows } : {};
}

class RulesHandler implements AuthHandler {
  /** Not there, rather than undefined, where the handler has none. */
  declare readonly check?: () => Promise<void>;
  readonly #handler: AuthHandler;
  readonly #rules: readonly Rule[];
  readonly #groups: ReadonlyMap<string, readonly string[]>;

  constructor(handler: AuthHandler, { rules, groups }: z.output<typeof options>) {
    this.#handler = handler;
    this.#rules = rules.map(compile);
    this.#groups = memberships(groups);
    if (handler.check !== undefined) this.check = handler.check.bind(handler);
  }

  async authorize(request: AccessRequest): Promise<Grant> {
    let grant: Grant;
    try {
      grant = await this.#handler.authorize(request);
    } catch (error) {
      return this.#withoutLogin(request, error);
    }
    return this.#narrowed(request, grant);
  }

  /** What is allowed to everybody needs no login; but whoever tries to log in and fails is told so. */
  #withoutLogin(request: AccessRequest, error: unknown): Promise<Grant> {
    const unknown = error instanceof Challenge && error.error === undefined;
    const silent = parseCredentials(request.ctx.headers.authorization) === undefined;
    const allows = this.#allowing(undefined);
    // `GET /v2/`, which requires nothing, is where clients learn how to log in.
    if (!unknown || !silent || request.required.length === 0 || !request.required.every(allows)) throw error;
    return grantIf(request, undefined, allows);
  }

  /** What the handler grants, as far as the rules allow it too. */
  async #narrowed(request: AccessRequest, grant: Grant): Promise<Grant> {
    const actor = this.#withGroups(grant.actor);
    const allows = this.#allowing(actor);
    const missing = request.required.filter((scope) => !allows(scope));
    if (missing.length > 0) {
      if (actor === undefined) await this.#askWho(request);
      throw new RegistryError('DENIED', { missing }, { actor });
    }
    return { actor, granted: grant.granted.filter(allows), ...alsoAllowed(request, grant, allows) };
  }

  /** Has the handler challenge a caller without a name, as it does on `GET /v2/`. */
  async #askWho({ ctx, signal }: AccessRequest): Promise<void> {
    await this.#handler.authorize({ required: [], optional: [], ctx, signal });
  }

  #withGroups(actor: Actor | undefined): Actor | undefined {
    if (actor === undefined) return undefined;
    const more = this.#groups.get(actor.name);
    return more === undefined ? actor : { ...actor, groups: [...(actor.groups ?? []), ...more] };
  }

  #allowing(actor: Actor | undefined): Allows {
    const rules = this.#rules.filter((rule) => rule.isFor(actor));
    return (scope) => rules.some((rule) => rule.allows(scope));
  }
}

/** Narrows what a handler grants to what rules allow, and lets everybody do what they allow to everybody. */
export const rules = definePlugin({
  kind: 'auth',
  name: 'rules',
  options,
  create: async (given, host) => new RulesHandler(await host.start(given.handler), given),
});
