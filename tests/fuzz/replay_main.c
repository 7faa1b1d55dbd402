/* Feeds every file of a corpus folder to a fuzz target, in the order of their names, without libFuzzer:
 * so that gcc, clang and the release build all replay the seeds and every past crash.
 *
 *   replay_config tests/fuzz/corpus/config                                                    */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <dirent.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PATH_ROOM = 4096, INPUT_BYTES_MAX = 1 << 22 };

static int is_plain_name(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* The exact number of bytes on the heap: the address sanitizer sees a read one past the end. */
static int replay_file(const char *path)
{
    struct stat info;
    FILE *f = fopen(path, "rbe");
    if (f == NULL || fstat(fileno(f), &info) != 0 || !S_ISREG(info.st_mode) ||
        info.st_size > INPUT_BYTES_MAX) {
        (void)fprintf(stderr, "%s: cannot be opened, no file, or too large\n", path);
        if (f != NULL) {
            (void)fclose(f);
        }
        return 1;
    }
    const size_t n = (size_t)info.st_size;
    uint8_t *data = malloc(n > 0 ? n : 1);
    if (data == NULL || fread(data, 1, n, f) != n) {
        (void)fprintf(stderr, "%s: cannot be read\n", path);
        free(data);
        (void)fclose(f);
        return 1;
    }
    (void)fclose(f);
    (void)printf("%s: %zu bytes\n", path, n); /* before the run: the last line names the culprit */
    (void)fflush(stdout);
    (void)LLVMFuzzerTestOneInput(data, n);
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
        return 2;
    }
    struct dirent **entry = NULL;
    const int n = scandir(argv[1], &entry, is_plain_name, alphasort);
    if (n < 0) {
        (void)fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
        return 2;
    }
    int failed = 0;
    for (int i = 0; i < n; i++) {
        char path[PATH_ROOM];
        const int length = snprintf(path, sizeof path, "%s/%s", argv[1], entry[i]->d_name);
        failed |= length < 0 || (size_t)length >= sizeof path || replay_file(path) != 0;
        free(entry[i]);
    }
    free((void *)entry);
    if (n == 0) {
        (void)fprintf(stderr, "%s: an empty corpus proves nothing\n", argv[1]);
        failed = 1;
    }
    (void)printf("%d inputs replayed\n", n);
    return failed;
}
