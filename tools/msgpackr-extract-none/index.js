// msgpackr catches this and uses its JavaScript decoder. The real package lists platform packages
// that make `npm ci` refuse the lock file where one of them cannot be had.
throw new Error('msgpackr-extract is not installed on purpose');
