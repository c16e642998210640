// Globs of repository names, for options that say which repositories they are about.
import picomatch from 'picomatch';
import { z } from 'zod';

/**
 * A component of a glob. Of what picomatch knows only `*`, `?` and a whole `**`: negation, braces,
 * brackets and extglobs surprise, and nobody wants to be surprised by who may push.
 */
const COMPONENT = /^(?:\*\*|(?![._-])(?:[a-z\d._?-]|\*(?!\*))+)$/;

/** With each, the time that the worst name takes to match is multiplied by its length. */
const MOST_STARS = 3;

/**
 * A schema for a glob of repository names: `*` and `?` stay within a component, `**`, as a whole component, goes
 * across. `team/**` is all below `team`, and not `team` itself.
 */
export function repositoryGlob() {
  return z
    .string()
    .refine(
      (text) => text.split('/').every((component) => COMPONENT.test(component)),
      'must be a repository name, in which "*" and "?" stand for parts of a component and "**" for whole ones',
    )
    .refine(
      (text) => (text.match(/\*+/g) ?? []).length <= MOST_STARS,
      `must not have more than ${MOST_STARS} "*" or "**"`,
    );
}

/** Whether a repository's name is matched by one of globs that {@link repositoryGlob} has checked. */
export function repositoryMatcher(globs: readonly string[]): (name: string) => boolean {
  // Without `strictSlashes` `team/**` would match `team` too.
  return picomatch([...globs], { strictSlashes: true });
}
