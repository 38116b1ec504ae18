export { freePort } from '../../process/free-port.ts';
