/* Preloaded by `npm run test:long -- slow-flush`: a disk whose flushes take longer, by FLUSH_DELAY_US each. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static void delay(void) {
  const char *us = getenv("FLUSH_DELAY_US");
  if (us != NULL) usleep((useconds_t)atoi(us));
}

int fdatasync(int fd) {
  static int (*flush)(int);
  if (flush == NULL) flush = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  delay();
  return flush(fd);
}

int fsync(int fd) {
  static int (*flush)(int);
  if (flush == NULL) flush = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  delay();
  return flush(fd);
}
