import { RewindError } from '../../errors/rewind-error.ts';

/** A failure of the file system in an operator's words; what is no such failure is returned as it is. */
export function fileFailure(error: unknown, root: string): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return new RewindError('DISK_FULL', `No room is left for the repository in ${root} (${code}).`, { cause: error });
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
    case 'ENOTDIR':
      return new RewindError('REPOSITORY_FOLDER_REFUSED', `The repository in ${root} cannot be used: ${message}.`, {
        cause: error,
      });
    case 'EIO':
    case 'ESTALE':
    case 'ETIMEDOUT':
    case 'ENXIO':
      return new RewindError('STORE_UNAVAILABLE', `The disk of the repository in ${root} fails: ${message}.`, {
        cause: error,
      });
    default:
      return error;
  }
}
