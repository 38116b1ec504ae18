// Loaded before a worker's own code (`node --import`): its clock goes wrong by CLOCK_OFF_MS milliseconds.
const off = Number(process.env.CLOCK_OFF_MS ?? 0);
const RealDate = Date;
const now = () => RealDate.now() + off;

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args, newTarget) => Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
  get: (target, name, receiver) => (name === 'now' ? now : Reflect.get(target, name, receiver)),
});
