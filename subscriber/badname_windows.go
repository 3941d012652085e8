package subscriber

import "syscall"

// badName are the errors of names that a file system cannot hold:
// ERROR_INVALID_NAME, ERROR_BAD_PATHNAME, ERROR_FILENAME_EXCED_RANGE, and those
// that package os makes itself.
var badName = [...]syscall.Errno{123, 161, 206, syscall.ENAMETOOLONG, syscall.EINVAL}
