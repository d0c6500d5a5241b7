/* What a job keeps in its folder, for the Spin model checker: docs/jobs.md. README.md says how to run and read it.
 *
 * The machine has pages in memory and pages on the disk. A write changes the page in memory; a sync brings it to the
 * disk. At a reboot each page that was not synced, and each entry of a folder, is as it was or as it is now; a record
 * may also be torn. A write to the disk can fail: the page then counts as written, keeps what it has in
 * memory until it is dropped, and the error is told to one sync, and to no other.
 *
 * One map with one output, of one row for each chunk. Chunk 1 is slot 1's, the others slot 0's. How chunks are claimed and
 * published is board.pml's, so that a commit is one step here. All processes of the job die at once, before any step of
 * theirs, and so does the checkpointer alone; the machine starts again at any moment.
 *
 * Switches that set sizes: CHUNKS RECORDS KILLS CHECKPOINTER_DEATHS REBOOTS ERRORS FULLS THROWS AGAIN
 * Switches that change something: UNSYNCED (no checkpoints, and nothing is ever synced); GOES_ON (a start in the same
 * boot does not refuse a map that has failed to be synced, but goes on from the last record)
 * Every other name tested below with #ifdef is a planted mistake: see `run`. */

#ifndef CHUNKS
#define CHUNKS 2              /* at most 3: a state counts each chunk in two of its bits */
#endif
#ifndef RECORDS
#define RECORDS 2             /* written by all checkpointers together */
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef CHECKPOINTER_DEATHS
#define CHECKPOINTER_DEATHS 0
#endif
#ifndef REBOOTS
#define REBOOTS 1
#endif
#ifndef ERRORS
#define ERRORS 0              /* writes to the disk that fail */
#endif
#ifndef FULLS
#define FULLS 0               /* files for which there is no room */
#endif
#ifndef THROWS
#define THROWS 0              /* chunks that come into quarantine */
#endif
#ifndef AGAIN
#define AGAIN 1               /* starts after one that ended with an error, without a reboot between them */
#endif

#define ALL ((1 << CHUNKS) - 1)
#define OF(s) ((s) == 0 -> 5 : 2)
#define COUNTS_OF(s) ((s) == 0 -> 51 : 12)
#define ONE(c) (1 << (2 * (c)))
#define SPREAD(set) (((set) & 1) | (((set) & 2) << 1) | (((set) & 4) << 2))

/* ---- the folder ------------------------------------------------------------------------------------- */

/* The rows of the output that hold what their chunks' kernels write. */
byte rows, disk_rows;         /* in memory, on the disk */
byte dirty_rows;              /* not yet written */
bool told_rows = true;        /* false: a write has failed, and no sync has been told */

/* The log. */
typedef record { byte sequence; byte set; byte sum; bool torn };
record place[2], disk_place[2];
bool dirty_place[2];

/* 3.done: its content, of which synced says whether the disk has it. */
byte done_sum, done_boot;
bool done_synced;

/* Entries: of the output (results/), and of the log and 3.done (results/.shard/). */
#define nameless 0
#define part 1
#define final 2
byte name, disk_name;
bool log_named, disk_log_named;
bool done_named, disk_done_named;

/* 3.live, which is never read after a reboot; and the next one, before it is renamed. */
typedef area {
  byte boot;                  /* 0: there is none */
  byte committed, verdicts, lost;
  byte sum, aside;
  bool failed;                /* a sync was told that a write has failed */
  bool syncing                /* a sync was begun; what it was told is not known yet */
};
area live, fresh;

/* ---- processes ---------------------------------------------------------------------------------------- */

byte boot = 1;
byte dying;                   /* a bit for each process */
#define WORKER 1
#define CHECKPOINTER 2
#define JOB 4
#define EVERYBODY 7
bool running;                 /* workers and checkpointer are there */
bool ending;                  /* all is committed: no more checkpoints */
bool busy;                    /* the checkpointer makes one */
bool idle;                    /* nobody works on the job, and nothing but another start will change that */
byte records, kills, checkpointer_deaths, reboots, errors, fulls, throws, agains;

/* What should be true, for the checks. */
byte kept;                    /* chunks that the last record on the disk has */
bool complete;                /* 3.done is on the disk, by its name */

/* ---- the disk ------------------------------------------------------------------------------------------ */

#define SAME_RECORD(p) (place[p].sequence == disk_place[p].sequence && place[p].torn == disk_place[p].torn)
#define COPY_RECORD(to, from) \
  to.sequence = from.sequence; to.set = from.set; to.sum = from.sum; to.torn = from.torn
#define CLEAR_RECORD(which) which.sequence = 0; which.set = 0; which.sum = 0; which.torn = false
#define COPY_AREA(to, from) \
  to.boot = from.boot; to.committed = from.committed; to.verdicts = from.verdicts; to.lost = from.lost; \
  to.sum = from.sum; to.aside = from.aside; to.failed = from.failed; to.syncing = from.syncing
#define CLEAR_AREA(which) \
  which.boot = 0; which.committed = 0; which.verdicts = 0; which.lost = 0; which.sum = 0; which.aside = 0; \
  which.failed = false; which.syncing = false

/* fdatasync of the output; `failed` is what it was told. */
inline sync_rows(failed) {
  atomic {
    if
    :: d_step {
         !told_rows ->
         failed = true; told_rows = true; disk_rows = (disk_rows & ~dirty_rows) | (rows & dirty_rows); dirty_rows = 0
       }
    :: d_step { told_rows && errors < ERRORS && dirty_rows != 0 -> errors++; failed = true; dirty_rows = 0 }
    :: d_step {
         told_rows -> failed = false; disk_rows = (disk_rows & ~dirty_rows) | (rows & dirty_rows); dirty_rows = 0
       }
    fi
  }
#ifdef ERROR_IGNORED
  ; failed = false
#endif
}

/* fdatasync of the log, after which place p is on the disk. */
inline sync_log(p, failed) {
  atomic {
    if
    :: d_step { errors < ERRORS && dirty_place[p] -> errors++; failed = true; dirty_place[p] = false }
    :: d_step { errors < ERRORS && dirty_place[p] && !SAME_RECORD(p) ->
                errors++; failed = true; dirty_place[p] = false; disk_place[p].torn = true }
    :: d_step {
         failed = false;
         if
         :: dirty_place[0] -> COPY_RECORD(disk_place[0], place[0]); dirty_place[0] = false
         :: else -> skip
         fi;
         if
         :: dirty_place[1] -> COPY_RECORD(disk_place[1], place[1]); dirty_place[1] = false
         :: else -> skip
         fi
       }
    fi
  }
}

/* fsync of results/.shard, and of results. A failure of these ends all writing to the file system: it does not go away. */
inline sync_shard() {
#ifndef UNSYNCED
  d_step { disk_log_named = log_named; disk_done_named = done_named }
#else
  skip
#endif
}
inline sync_results() {
#ifndef UNSYNCED
  disk_name = name
#else
  skip
#endif
}

/* ---- the log --------------------------------------------------------------------------------------------- */

#define WHOLE(which) (which.sequence > 0 && !which.torn)
#define NEWEST(a, b) (WHOLE(b) && (!WHOLE(a) || b.sequence > a.sequence) -> 1 : 0)

/* Whoever begins a sync says so, and finds out whether somebody has died in one: what that one was told, nobody knows. */
inline begin_sync(failed) {
#ifndef SYNC_UNMARKED
  d_step {
    if
#ifndef FOLLOWER_SYNCS
    :: live.syncing -> failed = true
#endif
    :: else -> live.syncing = true
    fi
  }
#else
  skip
#endif
}
inline end_sync(failed) {
  if
  :: failed -> live.failed = true
  :: else -> live.syncing = false
  fi
}
inline checked_sync_rows(failed) {
  begin_sync(failed);
  if
  :: !failed -> sync_rows(failed)
  :: else -> skip
  fi;
  end_sync(failed)
}
inline checked_sync_log(p, failed) {
  begin_sync(failed);
  if
  :: !failed -> sync_log(p, failed)
  :: else -> skip
  fi;
  d_step {
    if
    :: !failed && p < 2 && WHOLE(disk_place[p]) -> kept = disk_place[p].set
    :: else -> skip
    fi
  };
  end_sync(failed)
}

/* ---- the processes of a run -------------------------------------------------------------------------------- */

#define UNCOMMITTED (ALL & ~live.committed)
#ifdef QUARANTINE_BESIDE_OTHERS
#define ASIDE sum
#else
#define ASIDE aside
#endif

inline commit_or_fail() {
  if
  :: d_step { live.committed = live.committed | (1 << c); live.sum = live.sum + ONE(c); c = 0 }
  :: d_step { throws < THROWS -> throws++; live.verdicts = live.verdicts | (1 << c) };
     /* Its quarantine. */
     if
     :: d_step { live.ASIDE = live.ASIDE + ONE(c); live.committed = live.committed | (1 << c); c = 0 }
     :: d_step { live.lost = live.lost | (1 << c); live.committed = live.committed | (1 << c); c = 0 }
     fi
  fi
}

/* One worker after the other, in any order of chunks: what two do at a time to different slots is seen in no other way. */
proctype worker() {
  byte c;
end_dead:
  {
end:
    do
    :: d_step {
         running && (UNCOMMITTED & 1) != 0 -> c = 0; rows = rows | 1; dirty_rows = dirty_rows | 1
       };
       commit_or_fail()
    :: d_step {
         running && (UNCOMMITTED & 2) != 0 -> c = 1; rows = rows | 2; dirty_rows = dirty_rows | 2
       };
       commit_or_fail()
    :: d_step {
         running && (UNCOMMITTED & 4) != 0 -> c = 2; rows = rows | 4; dirty_rows = dirty_rows | 4
       };
       commit_or_fail()
    od
  } unless {
    d_step { (dying & WORKER) != 0 -> dying = dying & ~WORKER; c = 0 }
  };
  goto end_dead
}

#define FORGET_RECORD set = 0; sum = 0; verdicts = 0; p = 0; failed = false; busy = false

proctype checkpointer() {
  byte set, sum, verdicts, p;
  bool failed, went_on;
end_dead:
  {
end:
    do
    :: atomic { running && !ending && !live.failed && records < RECORDS -> records++; busy = true };
       /* Who made the newest record may have died before it was on the disk. Until it is, the other one stays. */
#ifndef LOG_UNSYNCED
       if
       :: !went_on && (WHOLE(place[0]) || WHOLE(place[1])) ->
          d_step { p = NEWEST(place[0], place[1]); dirty_place[p] = true };
          checked_sync_log(p, failed)
       :: else -> skip
       fi;
#endif
       went_on = true;
       /* The cut. */
#ifdef VERDICTS_FIRST
       verdicts = live.verdicts;
#endif
       d_step { set = live.committed & OF(0); sum = live.sum & COUNTS_OF(0) };
       d_step { set = set | (live.committed & OF(1)); sum = sum | (live.sum & COUNTS_OF(1)) };
#ifndef VERDICTS_FIRST
       verdicts = live.verdicts;
#endif
       d_step { set = set & ~verdicts; verdicts = 0 };
       /* The rows. */
#ifndef SYNC_LATE
       if
       :: !failed -> checked_sync_rows(failed)
       :: else -> skip
       fi;
#endif
       /* The record. */
       if
       :: !failed ->
          d_step {
#ifdef ONE_PLACE
            p = 0;
#else
            p = 1 - NEWEST(place[0], place[1]);
#endif
            place[p].sequence = place[NEWEST(place[0], place[1])].sequence + 1;
            place[p].torn = true; dirty_place[p] = true
          };
          d_step { place[p].set = set; place[p].sum = sum; place[p].torn = false };
          checked_sync_log(p, failed)
       :: else -> skip
       fi;
#ifdef SYNC_LATE
       if
       :: !failed -> checked_sync_rows(failed)
       :: else -> skip
       fi;
#endif
       d_step { FORGET_RECORD }
    od
  } unless {
    d_step { (dying & CHECKPOINTER) != 0 -> dying = dying & ~CHECKPOINTER; went_on = false; FORGET_RECORD }
  };
  goto end_dead
}

/* ---- a start -------------------------------------------------------------------------------------------------- */

#ifdef UNSYNCED
#define DONE_BELIEVED (done_named && done_sum > 0 && done_boot == boot)
#else
#define DONE_BELIEVED (done_named && done_sum > 0)
#endif
#ifdef LIVE_AFTER_REBOOT
#define LIVE_BELIEVED (live.boot != 0)
#elif defined(SYNC_UNMARKED)
#define LIVE_BELIEVED (live.boot == boot)
#else
#define LIVE_BELIEVED (live.boot == boot && !live.syncing)
#endif
#ifdef GOES_ON
#define REFUSED false
#else
#define REFUSED (live.boot == boot && live.failed)
#endif

#define NO_FALSE_ALARM assert(!live.failed || errors > 0 || checkpointer_deaths > 0)

/* What is believed of the map. */
inline harvest() {
  d_step {
    if
    :: LIVE_BELIEVED ->
#ifdef QUARANTINE_HARVESTED
       fresh.committed = live.committed & ~live.lost;
#else
       fresh.committed = live.committed & ~live.verdicts;
#endif
       fresh.sum = live.sum;
       assert(!told_rows || (fresh.committed & ~(disk_rows | dirty_rows)) == 0);
       assert(!told_rows || (fresh.committed & ~rows) == 0)
    :: else ->
       x = NEWEST(place[0], place[1]);
       if
       :: WHOLE(place[x]) -> fresh.committed = place[x].set; fresh.sum = place[x].sum
       :: else -> skip
       fi;
       x = 0;
       assert((fresh.committed & ~(rows & disk_rows)) == 0)
    fi;
    assert(fresh.sum == SPREAD(fresh.committed));
    assert((kept & ~fresh.committed) == 0)
  }
}

proctype job() {
  byte x;
  bool failed;
begin:
  {
    dying == 0;
    if
    :: DONE_BELIEVED ->
#ifndef DONE_FOUND_UNSYNCED
       sync_shard();
#endif
       goto names
    :: else -> skip
    fi;
    assert(!complete);
    if
    :: REFUSED -> goto over
    :: else -> skip
    fi;
    if
    :: name == final -> name = part   /* after a reboot, without syncs */
    :: name == nameless && fulls < FULLS -> fulls++; goto over
    :: name == nameless -> d_step { name = part; rows = 0; disk_rows = 0; dirty_rows = 0; told_rows = true }
    :: name == part -> skip
    fi;
#ifndef UNSYNCED
    if
    :: !log_named && fulls < FULLS -> fulls++; goto over
    :: !log_named ->
       d_step {
         log_named = true; CLEAR_RECORD(place[0]); CLEAR_RECORD(place[1]); CLEAR_RECORD(disk_place[0]);
         CLEAR_RECORD(disk_place[1]); dirty_place[0] = false; dirty_place[1] = false
       }
    :: else -> skip
    fi;
#ifndef FOLDER_UNSYNCED
    sync_results();
#endif
    sync_shard();
#endif
    if
    :: fulls < FULLS -> fulls++; goto over
    :: true -> skip
    fi;
#ifdef REBUILT_IN_PLACE
    harvest();
    d_step { live.boot = boot; live.sum = 0; live.aside = 0; live.verdicts = 0; live.lost = 0; live.failed = false; live.syncing = false };
    d_step { live.sum = fresh.sum; live.committed = fresh.committed; CLEAR_AREA(fresh) };
#else
    d_step { CLEAR_AREA(fresh); fresh.boot = boot };
    harvest();
    d_step { COPY_AREA(live, fresh); CLEAR_AREA(fresh) };
#endif
    running = true;
    live.committed == ALL || live.failed;
    ending = true;
#ifndef ENDS_BESIDE_RECORD
    !busy;
#endif
    d_step { running = false; ending = false; dying = WORKER };
    dying == 0;
    NO_FALSE_ALARM;
    if
    :: live.failed || live.lost != 0 -> goto over
    :: else -> skip
    fi;

    /* The end of a map. */
#ifndef UNSYNCED
    checked_sync_rows(failed);
    NO_FALSE_ALARM;
    if
    :: failed -> goto over
    :: else -> skip
    fi;
#endif
    if
    :: fulls < FULLS -> fulls++; goto over
    :: true -> skip
    fi;
    d_step {
      done_synced = false; done_boot = boot;
      done_sum = live.sum + live.aside;
      assert(done_sum == SPREAD(ALL));
    };
#if !defined(UNSYNCED) && !defined(DONE_UNSYNCED)
    if
    :: errors < ERRORS -> errors++; live.failed = true; goto over
    :: true -> done_synced = true
    fi;
#endif
    done_named = true;
#ifdef REMOVED_EARLY
    d_step { CLEAR_AREA(live) };
    log_named = false;
#endif
#ifdef NAME_BEFORE_DONE
    name = final;
#endif
    sync_shard();
names:
    if
    :: true -> skip
    fi;
    d_step {
      assert(done_sum == SPREAD(ALL));
      assert(rows == ALL);
#ifndef UNSYNCED
      assert(disk_rows == ALL);
      complete = disk_done_named
#endif
    };
    name = final;
    sync_results();
    d_step { CLEAR_AREA(live) };
    log_named = false;
    assert(name == final && DONE_BELIEVED);
    goto finished;
over:
    if
    :: true -> skip
    fi;
    d_step { running = false; failed = false; x = 0; CLEAR_AREA(fresh) };
    if
    :: agains < AGAIN -> agains++; goto begin
    :: agains == AGAIN -> goto finished
    fi;
finished:
    idle = true;
end:
    false
  } unless {
    d_step { (dying & JOB) != 0 -> dying = dying & ~JOB; failed = false; x = 0; idle = false; CLEAR_AREA(fresh) }
  };
  goto begin
}

/* ---- the world ---------------------------------------------------------------------------------------------------- */

#define KILL_ALL dying = EVERYBODY; running = false; ending = false; busy = false

/* What the disk has after a reboot is all there is. */
inline check_disk() {
  d_step {
    x = NEWEST(disk_place[0], disk_place[1]);
    if
    :: disk_log_named && WHOLE(disk_place[x]) ->
       assert(disk_name != nameless);
       assert((disk_place[x].set & ~disk_rows) == 0);
       assert(disk_place[x].sum == SPREAD(disk_place[x].set))
    :: else -> skip
    fi;
    if
    :: !disk_done_named -> assert(kept == 0 || (disk_log_named && WHOLE(disk_place[x]) && (kept & ~disk_place[x].set) == 0))
    :: else -> skip
    fi;
#ifndef UNSYNCED
    assert(disk_name != final || disk_done_named);
    assert(!disk_done_named || (done_synced && disk_rows == ALL && disk_name != nameless));
    assert(disk_done_named || !complete)
#endif
    x = 0
  }
}

/* Each page, and each entry, has reached the disk or has not. */
inline reboot() {
  atomic {
    reboots++;
    d_step { KILL_ALL };
    x = 0;
    do
    :: x < CHUNKS && (dirty_rows >> x) & 1 -> disk_rows = (disk_rows & ~(1 << x)) | (rows & (1 << x)); x++
    :: x < CHUNKS -> x++
    :: x == CHUNKS -> break
    od;
    x = 0;
    do
    :: x < 2 && dirty_place[x] -> COPY_RECORD(disk_place[x], place[x]); x++
    :: x < 2 && dirty_place[x] && !SAME_RECORD(x) -> disk_place[x].torn = true; x++
    :: x < 2 -> x++
    :: x == 2 -> break
    od;
    if
    :: disk_name = name
    :: disk_name == nameless && name == final -> disk_name = part
    :: true -> skip
    fi;
    if
    :: disk_log_named = log_named
    :: disk_log_named != log_named -> skip
    fi;
    if
    :: disk_done_named = done_named
    :: disk_done_named != done_named -> skip
    fi;
    x = 0;
    check_disk();
    d_step {
      boot++;
      rows = disk_rows; dirty_rows = 0; told_rows = true;
      COPY_RECORD(place[0], disk_place[0]); dirty_place[0] = false;
      COPY_RECORD(place[1], disk_place[1]); dirty_place[1] = false;
      name = disk_name; log_named = disk_log_named; done_named = disk_done_named;
      if
      :: !done_named -> done_sum = 0; done_boot = 0; done_synced = false
      :: else -> skip
      fi
    }
  }
}

proctype fate() {
  byte x;
end:
  do
  :: d_step { kills < KILLS && dying == 0 && !idle -> kills++; KILL_ALL }
  :: d_step { checkpointer_deaths < CHECKPOINTER_DEATHS && dying == 0 && busy ->
              checkpointer_deaths++; dying = CHECKPOINTER }
  :: reboots < REBOOTS && dying == 0 -> reboot()
  :: d_step { errors < ERRORS && dirty_rows != 0 -> errors++; told_rows = false; dirty_rows = 0 }
  :: d_step { (rows & ~(disk_rows | dirty_rows)) != 0 -> rows = rows & (disk_rows | dirty_rows) }
  od
}

init {
  atomic {
    run worker();
    run checkpointer();
    run fate();
    run job()
  }
}
