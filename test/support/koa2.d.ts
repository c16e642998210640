// Koa 2.16 under its alias; as far as the tests use it, its types are those of Koa 3.
declare module 'koa2' {
  export { default } from 'koa';
}
