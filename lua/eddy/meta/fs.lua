---@meta eddy
-- SPDX-License-Identifier: MIT
--
-- fs.lua - files and the file system, for editors (LuaCATS) and for people. The functions are C; nothing here runs.
-- io.lua says what holds for all that is open: errors, cancelling, what is forgotten.
-- luacheck: ignore 241

---@class eddy
local eddy = {}

-- --- Files ----------------------------------------------------------------------------------------------------------

---An open file, read ahead and written in blocks of 64 KiB: what is written is in the file after `flush`, `seek`,
---`read`, `sync`, `truncate`, `stat` or `close`. Tasks that use one file take turns; a read or write is never mixed
---with another's. Its value is its own `<close>`. A closed file raises RuntimeError. A file that is collected open is
---closed with a ResourceWarning.
---
---A FIFO, a terminal or another special file is read and written when it is ready; it keeps no thread.
---@class eddy.File
local File = {}

---Like `Stream:read`, but a count gives fewer bytes at the end of the file only, and lines have no limit.
---@async
---@param ... eddy.ReadFormat
---@return string|number|nil ...
function File:read(...) end

---Reads exactly n bytes, or raises IncompleteReadError.
---@async
---@param n integer
---@return string
function File:read_exactly(n) end

---Reads up to and with a separator, or raises IncompleteReadError.
---@async
---@param separator string|string[]
---@return string
function File:read_until(separator) end

---An iterator that calls `read(...)`, until that gives nil. It does not close the file.
---@param ... eddy.ReadFormat
---@return fun(): string|number|nil, ...
function File:lines(...) end

---Writes where reading has got to, or at the end in mode "a".
---
---Cancelling: what a thread has begun to write is written, what it has not is not. An error of a write whose task was
---cancelled is raised by the next write, flush, sync or close.
---@async
---@param ... eddy.WriteData
---@return eddy.File self
function File:write(...) end

---Gives what was written to the system.
---@async
---@return eddy.File self
function File:flush() end

---"full" (the default): written in blocks; "line": also at each end of a line; "no": at once. The size is ignored.
---@param mode "full"|"line"|"no"
---@param size? integer
---@return true
function File:setvbuf(mode, size) end

---Brings what was written to the disk.
---@async
---@return eddy.File self
function File:sync() end

---Cuts or extends the file to so many bytes; without a size, to where the next byte would be read or written.
---@async
---@param size? integer
---@return eddy.File self
function File:truncate(size) end

---Moves to `offset` from the start, from where it is ("cur", the default) or from the end; returns the new place.
---@async
---@param whence? "set"|"cur"|"end"
---@param offset? integer
---@return integer
function File:seek(whence, offset) end

---@async
---@return eddy.Stat
function File:stat() end

---Writes what is left to be written and closes the file, in any case; then raises what has failed. Who waits for
---something to read from a special file gets a RuntimeError; all others have their turn before.
---
---Cancelling: the file is closed in the background.
---@async
---@return true
function File:close() end

---Opens a file, with Lua's modes: "r", "w", "a", each with "+" to read and write, and with an optional "b". The
---descriptor is close-on-exec. A directory is EISDIR. A FIFO is opened to read at once, and its reads wait for a
---writer; opened to write it waits for a reader.
---
---Cancelling: a descriptor that comes later is closed.
---@async
---@param path string
---@param mode? string "r"
---@return eddy.File
function eddy.open(path, mode) end

---Opens a file and iterates `read(...)` over it: `for line in eddy.lines(path) do`. The file is closed at its end, and
---when the loop is left by break or an error.
---@async
---@param path string
---@param ... eddy.ReadFormat
---@return fun(): string|number|nil, ...
---@return nil
---@return nil
---@return eddy.File
function eddy.lines(path, ...) end

---@class eddy.Stat
---@field type eddy.FileType
---@field size integer bytes
---@field mode integer the permission bits
---@field mtime eddy.Seconds since 1970, as are the others: contents changed
---@field atime eddy.Seconds last read
---@field ctime eddy.Seconds contents or status changed
---@field birthtime eddy.Seconds created, where the system knows
---@field uid integer
---@field gid integer
---@field ino integer
---@field dev integer
---@field rdev integer
---@field nlink integer
---@field blocks integer of 512 bytes
---@field blksize integer

---@alias eddy.FileType "file"|"directory"|"link"|"char"|"block"|"fifo"|"socket"|"unknown"

---Operations on paths. Each is one job of a thread. A path with a zero byte is a bad argument. What fails raises
---OSError with `path`, and `other_path` where there are two.
---
---Cancelling: a job that has not begun never begins. One that has begun ends in the background; reading, writing,
---copying and removing trees end soon, others do what they were to do. A temporary file or folder is removed again.
---@class eddy.fs
eddy.fs = {}

---All of a file; also of those that do not know their size, like those of /proc, and of FIFOs.
---@async
---@param path string
---@return string
function eddy.fs.read_file(path) end

---@class eddy.WriteFileOptions
---@field atomic? boolean the old file or the new one is there at any moment
---@field append? boolean adds to what is there
---@field mode? integer permission bits of a new file, less the umask

---Writes a file, which is created or replaced.
---
---With `atomic`, the old file or the new one is there at any moment, also after a power cut: a file beside it is
---written, synced and renamed, and the folder is synced. The mode is kept, and the owner if that is allowed. When it
---fails or is cancelled, the old file stays and the other is removed. A link stays a link; what is no regular file is
---EINVAL.
---@async
---@param path string
---@param data string|number
---@param options? eddy.WriteFileOptions
function eddy.fs.write_file(path, data, options) end

---@async
---@param path string
---@return eddy.Stat
function eddy.fs.stat(path) end

---Like `stat`, of a link itself.
---@async
---@param path string
---@return eddy.Stat
function eddy.fs.lstat(path) end

---Whether there is something. False for ENOENT and ENOTDIR; other errors are raised.
---@async
---@param path string
---@return boolean
function eddy.fs.exists(path) end

---Iterates the names in a directory and their types, without "." and "..". The directory is read at once.
---@async
---@param path string
---@return fun(): string?, eddy.FileType?
function eddy.fs.scandir(path) end

---@class eddy.MkdirOptions
---@field parents? boolean also makes what is missing above it, and is content when it exists
---@field mode? integer permission bits, less the umask

---@async
---@param path string
---@param options? eddy.MkdirOptions
function eddy.fs.mkdir(path, options) end

---@class eddy.RemoveOptions
---@field recursive? boolean also all that is in the directory; links are removed, never followed

---Removes a file, a link or an empty directory. With `recursive`, a directory and all that is below it, as deep as it
---may be; it stops at the first failure. Links are never followed, also not those that somebody puts in the way
---meanwhile. "." and ".." are EINVAL, "/" is EBUSY.
---@async
---@param path string
---@param options? eddy.RemoveOptions
function eddy.fs.remove(path, options) end

---Removes an empty directory.
---@async
---@param path string
function eddy.fs.rmdir(path) end

---Moves within a file system; what is at `new` is replaced.
---@async
---@param old string
---@param new string
function eddy.fs.rename(old, new) end

---@class eddy.CopyOptions
---@field exclusive? boolean EEXIST when there is something at `to`

---Copies a regular file, as cp does: a new file gets the permissions of `from` less the umask, never its set-user-ID,
---set-group-ID and sticky bits; the contents of one that is there are replaced, and it keeps its own. A copy of a file
---onto itself is EEXIST.
---
---Cancelling: a file that was not there before is removed again.
---@async
---@param from string
---@param to string
---@param options? eddy.CopyOptions
function eddy.fs.copy(from, to, options) end

---Another name for a file.
---@async
---@param path string
---@param new string
function eddy.fs.link(path, new) end

---@class eddy.SymlinkOptions
---@field type? "file"|"directory"|"junction" what Windows wants to know

---@async
---@param target string what it stands for
---@param path string where it is made
---@param options? eddy.SymlinkOptions
function eddy.fs.symlink(target, path, options) end

---@async
---@param path string
---@return string
function eddy.fs.readlink(path) end

---The path without links, `.` and `..`.
---@async
---@param path string
---@return string
function eddy.fs.realpath(path) end

---@async
---@param path string
---@param mode integer permission bits
function eddy.fs.chmod(path, mode) end

---@async
---@param path string
---@param uid? integer nil leaves it
---@param gid? integer nil leaves it
function eddy.fs.chown(path, uid, gid) end

---@async
---@param path string
---@param atime? eddy.Seconds since 1970; nil is now
---@param mtime? eddy.Seconds since 1970; nil is now
function eddy.fs.utime(path, atime, mtime) end

---Whether it may be read ("r"), written ("w"), executed ("x"), all that is asked for; without letters, whether it is
---there. False for EACCES, EPERM, EROFS, ETXTBSY, ENOENT and ENOTDIR; other errors are raised.
---@async
---@param path string
---@param what? string such as "rw"
---@return boolean
function eddy.fs.access(path, what) end

---Makes a directory (mode 700) whose name is the template with its six X replaced.
---@async
---@param template string ends in "XXXXXX"
---@return string path
function eddy.fs.mkdtemp(template) end

---Makes and opens a file (mode 600, to read and write) in the same way.
---@async
---@param template string ends in "XXXXXX"
---@return eddy.File file
---@return string path
function eddy.fs.mkstemp(template) end

---Cuts or extends a file.
---@async
---@param path string
---@param size? integer 0
function eddy.fs.truncate(path, size) end

---@class eddy.StatFs
---@field type integer the system's number of the kind
---@field bsize integer bytes in a block
---@field blocks integer
---@field bfree integer blocks that are free
---@field bavail integer blocks that are free for all users
---@field files integer how many there can be
---@field ffree integer

---The file system in which the path is.
---@async
---@param path string
---@return eddy.StatFs
function eddy.fs.statfs(path) end

---@class eddy.WalkOptions
---@field follow? boolean go through links to directories, too
---@field on_error? fun(err: eddy.OSError) for a directory, the top too, that cannot be read and is passed over

---Where a walk has got to. `walk()` is one step, `walk:close()` ends it, as does the end of a `for` loop.
---@class eddy.Walk
---@overload fun(): string?, string[]?, string[]?

---Iterates the directories of a tree from the top down: `for dir, dirs, files in eddy.fs.walk(path) do`. `dirs` lists
---the directories in `dir` and links to some, `files` all else. The loop's body may change `dirs`: the walk goes on
---into what is left there, in that order, but not out of the tree (EXDEV).
---
---A directory that has gone, or became a link, is passed over; other errors are raised, unless there is `on_error`. No
---link is followed, also none that somebody puts in the way meanwhile; depth does not matter.
---
---Cancelling: the next step is the one that was cancelled.
---@async
---@param path string
---@param options? eddy.WalkOptions
---@return eddy.Walk
---@return nil
---@return nil
---@return eddy.Walk
function eddy.fs.walk(path, options) end

---What is watched. `watch()` waits for one event; `watch:close()` ends it, as does the end of a `for` loop.
---@class eddy.Watch
---@overload fun(): string?, ("change"|"rename")?

---Iterates what happens to a file or in a directory: `for name, what in eddy.fs.watch(path) do`. "rename" is a name
---that appeared or went, "change" is contents or attributes. It watches from the call on, also between two steps. What
---was not taken yet is told once, however often it happened. Not what is further down. The loop ends when the watch is
---closed.
---
---Several tasks may wait for one watch; each event is one task's. Cancelling loses none. It needs a running loop.
---@async
---@param path string
---@return eddy.Watch
---@return nil
---@return nil
---@return eddy.Watch
function eddy.fs.watch(path) end

return eddy
