// What drivers of distribution are told and the plugins of the same name need not be. Taken out of a
// section, so that a document which is right for distribution is right here.
import { isPlainObject } from './clone-options.js';
import { type Plugin, pluginLabel } from './define-plugin.js';
import type { Outline } from './outline.js';
import { bareKey } from './unknown-keys.js';

/** Whether a value asks for nothing that would be missed. */
type Harmless = (value: unknown) => boolean;

/** How a driver goes about its work: the plugin has its own way. */
const always: Harmless = () => true;

const whenOff: Harmless = (value) => value === false || value === null;

const NEEDLESS: Readonly<Record<string, Readonly<Record<string, Harmless>>>> = {
  'storage/filesystem': { maxthreads: always },
  'storage/s3': {
    loglevel: always,
    multipartcopychunksize: always,
    multipartcopymaxconcurrency: always,
    multipartcopythresholdsize: always,
    usefipsendpoint: whenOff,
  },
};

/**
 * The section of a plugin without what is needless there. A key that the plugin's own schema knows is the
 * plugin's, and what is not harmless stays, to be refused as unknown.
 */
export function withoutNeedless(
  plugin: Pick<Plugin, 'kind' | 'name'>,
  outline: Outline | undefined,
  section: unknown,
): unknown {
  const needless = NEEDLESS[pluginLabel(plugin)];
  if (needless === undefined || outline === undefined || !isPlainObject(section)) return section;
  const kept = Object.entries(section).filter(
    ([key, value]) => outline.member(key) !== undefined || needless[bareKey(key)]?.(value) !== true,
  );
  return Object.fromEntries(kept);
}
