/* See file.h. Every write, fsync and rename asks the context's fault counter first, so that specs can
 * make the n-th of them fail (context.h, rh_faults). */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/pool.h"

rh_status rh_file_fail(rh_ctx *ctx, const char *what, const char *path, int error) {
    char words[128];
    if (strerror_r(error, words, sizeof words) != 0) snprintf(words, sizeof words, "error %d", error);
    return rh_fail(ctx, RH_EIO, RH_NO_OPERAND, "cannot %s %s: %s", what, path, words);
}

/* ---- reading ---- */

static const char *kind_of(mode_t mode) {
    if (S_ISDIR(mode)) return "a folder";
    if (S_ISFIFO(mode)) return "a FIFO";
    if (S_ISSOCK(mode)) return "a socket";
    return "a device";
}

static rh_status check_regular(rh_ctx *ctx, const char *path, const struct stat *info) {
    if (S_ISREG(info->st_mode)) return RH_OK;
    return rh_fail(ctx, RH_EDATA, RH_NO_OPERAND, "%s: not a regular file (%s)", path,
                   kind_of(info->st_mode));
}

rh_status rh_file_open(rh_ctx *ctx, const char *path, rh_file *out) {
    struct stat info;
    *out = RH_FILE_CLOSED;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return rh_file_fail(ctx, "open", path, errno);
    rh_status status = fstat(fd, &info) == 0 ? check_regular(ctx, path, &info)
                                             : rh_file_fail(ctx, "open", path, errno);
    if (status != RH_OK) {
        close(fd);
        return status;
    }
    *out = (rh_file){fd, (int64_t)info.st_size};
    return RH_OK;
}

rh_status rh_file_read(rh_ctx *ctx, const rh_file *file, const char *path, int64_t offset, void *out,
                       size_t n) {
    char *to = out;
    while (n > 0) {
        ssize_t got = pread(file->fd, to, n, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return rh_file_fail(ctx, "read", path, errno);
        if (got == 0)
            return rh_fail(ctx, RH_EDATA, RH_NO_OPERAND,
                           "%s: ends at byte %lld, it had %lld when it was opened", path,
                           (long long)offset, (long long)file->size);
        to += got;
        n -= (size_t)got;
        offset += got;
    }
    return RH_OK;
}

void rh_file_close(rh_file *file) {
    if (file->fd >= 0) close(file->fd);
    file->fd = -1;
}

/* ---- saving ---- */

/* True, with errno set, when a spec asked for this call to fail. */
static bool fault(rh_ctx *ctx) {
    rh_faults *f = &ctx->faults;
    if (f->io_countdown <= 0 || --f->io_countdown > 0) return false;
    if (f->io_sticky) f->io_countdown = 1;
    errno = f->io_error;
    return true;
}

/* A full disk also says how much was wanted and how much there was. */
static rh_status fail_save(rh_ctx *ctx, const rh_save *save, int error) {
    struct statvfs disk;
    const double mb = 1e6;
    if ((error != ENOSPC && error != EDQUOT) || fstatvfs(save->fd, &disk) != 0)
        return rh_file_fail(ctx, "write", save->path, error);
    double free_bytes = (double)disk.f_bavail * (double)disk.f_frsize + (double)save->written;
    rh_file_fail(ctx, "write", save->path, error);
    size_t used = strlen(ctx->error.text);
    snprintf(ctx->error.text + used, sizeof ctx->error.text - used, " (needs %.1f MB, %.1f MB free)",
             (double)save->bytes / mb, free_bytes / mb);
    return RH_EIO;
}

static rh_status set_paths(rh_ctx *ctx, const char *path, rh_save *save) {
    static const char suffix[] = ".tmp";
    size_t n = strlen(path);
    save->path = rh_alloc(ctx, 2 * (n + 1) + sizeof suffix);
    if (!save->path) return RH_ENOMEM;
    memcpy(save->path, path, n + 1);
    save->temporary = save->path + n + 1;
    memcpy(save->temporary, path, n);
    memcpy(save->temporary + n, suffix, sizeof suffix);
    return RH_OK;
}

/* Whether the temporary's name still means the file that we opened: between open and lock, another
 * process may have renamed it to path. */
static bool still_ours(const rh_save *save) {
    struct stat by_name, by_fd;
    return fstat(save->fd, &by_fd) == 0 && lstat(save->temporary, &by_name) == 0 &&
           by_fd.st_ino == by_name.st_ino && by_fd.st_dev == by_name.st_dev;
}

/* Opens and locks the temporary file; -1 with errno, EWOULDBLOCK if it is locked. On a file system
 * without locks it goes unlocked. */
static int open_locked(rh_save *save) {
    for (int tries = 0; tries < 100; tries++) {
        save->fd = open(save->temporary, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
        if (save->fd < 0) return -1;
        bool busy = flock(save->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
        if (!busy && still_ours(save)) return 0;
        close(save->fd);
        save->fd = -1;
        if (busy) break;
    }
    errno = EWOULDBLOCK;
    return -1;
}

/* The successor is as private as the file it replaces, where the file system knows of that. */
static rh_status empty_temporary(rh_ctx *ctx, rh_save *save, const struct stat *old) {
    struct stat info;
    if (fstat(save->fd, &info) != 0) return fail_save(ctx, save, errno);
    RH_TRY(check_regular(ctx, save->temporary, &info));
    if (ftruncate(save->fd, 0) != 0) return fail_save(ctx, save, errno);
    if (old && fchmod(save->fd, old->st_mode & 0777) != 0 && errno != EPERM)
        return fail_save(ctx, save, errno);
    return RH_OK;
}

rh_status rh_save_begin(rh_ctx *ctx, const char *path, uint64_t bytes, rh_save *out) {
    struct stat old;
    *out = RH_SAVE_NONE;
    out->bytes = bytes;
    bool exists = stat(path, &old) == 0;
    if (exists) RH_TRY(check_regular(ctx, path, &old));
    RH_TRY(set_paths(ctx, path, out));
    if (open_locked(out) == 0) return empty_temporary(ctx, out, exists ? &old : NULL);
    if (errno != EWOULDBLOCK) return rh_file_fail(ctx, "write", path, errno);
    return rh_fail(ctx, RH_EIO, RH_NO_OPERAND, "cannot write %s: another save of it is going on (%s)",
                   path, out->temporary);
}

rh_status rh_save_write(rh_ctx *ctx, rh_save *save, const void *bytes, size_t n) {
    const char *from = bytes;
    while (n > 0) {
        ssize_t put = fault(ctx) ? -1 : write(save->fd, from, n);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return fail_save(ctx, save, errno);
        from += put;
        n -= (size_t)put;
        save->written += (uint64_t)put;
    }
    return RH_OK;
}

static int sync_fd(rh_ctx *ctx, int fd) {
    int result;
    do result = fault(ctx) ? -1 : fsync(fd);
    while (result != 0 && errno == EINTR);
    return result;
}

/* The rename itself survives a power cut only once the folder is on disk. File systems that cannot
 * sync a folder say EINVAL. */
static rh_status sync_folder(rh_ctx *ctx, rh_save *save) {
    char *folder = save->temporary; /* no longer needed: becomes the folder's name */
    char *slash = strrchr(folder, '/');
    if (!slash) strcpy(folder, ".");
    else slash[slash == folder] = '\0';
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return rh_file_fail(ctx, "sync", folder, errno);
    bool done = sync_fd(ctx, fd) == 0 || errno == EINVAL;
    int error = errno;
    close(fd);
    return done ? RH_OK : rh_file_fail(ctx, "sync", folder, error);
}

rh_status rh_save_commit(rh_ctx *ctx, rh_save *save) {
    if (sync_fd(ctx, save->fd) != 0) return fail_save(ctx, save, errno);
    /* Renamed while still open: closing would drop the lock, and another save could take the name. */
    if (fault(ctx) || rename(save->temporary, save->path) != 0) return fail_save(ctx, save, errno);
    int closed = close(save->fd);
    save->fd = -1;
    if (closed != 0 && errno != EINTR) return rh_file_fail(ctx, "write", save->path, errno);
    return sync_folder(ctx, save);
}

void rh_save_end(rh_ctx *ctx, rh_save *save) {
    if (save->fd >= 0) {
        unlink(save->temporary);
        close(save->fd);
    }
    rh_free(ctx, save->path);
    *save = RH_SAVE_NONE;
}

/* ---- folders ---- */

static rh_status make_one(rh_ctx *ctx, const char *path) {
    struct stat info;
    if (mkdir(path, 0777) == 0) return RH_OK;
    int error = errno;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) return RH_OK;
    return rh_file_fail(ctx, "make the folder", path, error);
}

rh_status rh_folder_make(rh_ctx *ctx, const char *path) {
    size_t n = strlen(path);
    char *part = rh_alloc(ctx, n + 1);
    if (!part) return RH_ENOMEM;
    rh_status status = RH_OK;
    memcpy(part, path, n + 1);
    for (size_t i = 1; i < n && status == RH_OK; i++) {
        if (path[i] != '/' || path[i - 1] == '/') continue;
        part[i] = '\0';
        status = make_one(ctx, part);
        part[i] = '/';
    }
    if (status == RH_OK) status = make_one(ctx, part);
    rh_free(ctx, part);
    return status;
}
