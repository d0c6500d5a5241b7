/* The commit protocol of the board, for the Spin model checker. README.md says how to run and read it.
 *
 * One step of a process is one load, store or read-modify-write of shared memory, together with
 * whatever private work goes with it; a worker may be killed before each of its steps, and so may the
 * supervisor. What only the owner of a slot writes, the owner reads without a step of its own.
 * Memory is sequentially consistent here: the orders that buy this are in docs/memory_model.md.
 *
 * Switches that set sizes: CHUNKS SLOTS BATCH BUDGET WORKER_DEATHS SUPERVISOR_DEATHS THROWS
 * Switches that add something: READER STOPPER CROWDED
 * Every other name tested below with #ifdef is a planted mistake: see `run`. */

#ifndef CHUNKS
#define CHUNKS 3              /* at most 4: an accumulator word counts each chunk in two of its bits */
#endif
#ifndef SLOTS
#define SLOTS 2               /* 2 or 3 */
#endif
#ifndef BATCH
#define BATCH 2               /* a claim takes 1 to BATCH ids */
#endif
#ifndef BUDGET
#define BUDGET 1              /* failures of a chunk that are forgiven */
#endif
#ifndef WORKER_DEATHS
#define WORKER_DEATHS 1
#endif
#ifndef SUPERVISOR_DEATHS
#define SUPERVISOR_DEATHS 0
#endif
#ifndef THROWS
#define THROWS 0
#endif

/* ---- shared memory ------------------------------------------------------------------------------- */

byte cursor;                      /* the next id nobody has claimed; may run past CHUNKS */
bool done;                        /* every chunk is committed or condemned */
bool stopping;                    /* start no more chunks */
bool handover;                    /* a slot with work waits for a process: who is idle leaves */
bool asleep[SLOTS];               /* inside futex_wait */

bool claiming[SLOTS];
byte length[SLOTS];
byte running[SLOTS];              /* log index + 1 of the entry in progress; 0: none */
byte word[SLOTS];                 /* the commit word: its sequence; the area is the lowest bit */

typedef ids { byte id[CHUNKS + 1] };
typedef area { byte low; byte high; byte covered };
typedef areas { area at[2] };     /* at[0] of a fresh slot is the identity */
ids log[SLOTS];
areas slot[SLOTS];

typedef verdict_word { bool condemned; byte failures };
verdict_word verdict[CHUNKS];     /* one 64-bit word: read and written whole */
byte output[CHUNKS];              /* slice and ordered partial: 0 untouched, 1 half written, 2 whole */

#ifdef REDO_QUEUE
byte redo[2 * CHUNKS];
byte redo_end;
byte redo_begin;
#endif

/* ---- processes ----------------------------------------------------------------------------------- */

mtype = { gone, live, dying, dead, left, vacant };
mtype life[SLOTS] = live;         /* dead, left: not yet reaped; vacant: has work, but no process */
byte room = SLOTS;                /* processes that the system lets us have */
bool supervisor_dying;
bool finished;
byte worker_deaths = WORKER_DEATHS;
byte supervisor_deaths = SUPERVISOR_DEATHS;
byte throws = THROWS;

/* ---- what the checks know and the protocol does not ------------------------------------------------ */

byte busy[SLOTS];                 /* chunk + 1 whose kernel really runs */
byte failed[CHUNKS];              /* deaths and throws that really hit the chunk */

hidden byte x;
hidden byte y;
hidden byte z;
hidden byte sum;

#define ONE(chunk) (1 << (2 * (chunk)))
#define CURRENT(s) slot[s].at[word[s] & 1]
#define OTHER(s) slot[s].at[1 - (word[s] & 1)]

/* sum := the reduction of the first `count` entries of a log, condemned ones left out. */
inline reduce_log(s, count) {
  sum = 0; x = 0;
  do
  :: x < count ->
     if
     :: verdict[log[s].id[x]].condemned -> skip
     :: else -> sum = sum + ONE(log[s].id[x])
     fi;
     x++
  :: else -> break
  od
}

/* The invariant of every moment: what slot s has published is exactly the prefix of its log that it says. */
inline check_published(s) {
  assert(CURRENT(s).covered <= length[s]);
  reduce_log(s, CURRENT(s).covered);
  assert(CURRENT(s).low == sum);
  assert(CURRENT(s).high == sum);
  x = 0;
  do
  :: x < CURRENT(s).covered ->
     assert(verdict[log[s].id[x]].condemned || output[log[s].id[x]] == 2);
     x++
  :: else -> break
  od;
  sum = 0; x = 0
}

/* Ids below `bound` that stand in no log, appended to the log of s beyond its length; z: how many. */
inline append_orphans(s, bound) {
  z = 0; sum = 0; x = 0;
  do
  :: x < SLOTS ->
     y = 0;
     do
     :: y < length[x] -> sum = sum | ONE(log[x].id[y]); y++
     :: else -> break
     od;
     x++
  :: else -> break
  od;
  x = 0;
  do
  :: x < bound ->
     if
     :: (sum & ONE(x)) == 0 -> log[s].id[length[s] + z] = x; z++
     :: else -> skip
     fi;
     x++
  :: else -> break
  od;
  x = 0; y = 0; sum = 0
}

/* No id stands in two logs, nor twice in one. Checked whenever a length is stored. */
inline check_logs() {
  sum = 0; x = 0;
  do
  :: x < SLOTS ->
     y = 0;
     do
     :: y < length[x] ->
        assert((sum & ONE(log[x].id[y])) == 0);
        sum = sum + ONE(log[x].id[y]);
        y++
     :: else -> break
     od;
     x++
  :: else -> break
  od;
  x = 0; y = 0; sum = 0
}

/* A run is over: every chunk counts once in the merged areas, or is condemned; or else it is
 * missing because the run was stopped. No verdict counts more failures than there were. */
inline check_result() {
  x = 0; z = 0;
  do
  :: x < CHUNKS ->
     sum = 0; y = 0;
     do
     :: y < SLOTS ->
        assert(stopping || CURRENT(y).covered == length[y]);
        sum = sum + ((CURRENT(y).low >> (2 * x)) & 3);
        assert(CURRENT(y).low == CURRENT(y).high);
        y++
     :: else -> break
     od;
     assert(verdict[x].failures <= failed[x]);
     assert(verdict[x].condemned == (verdict[x].failures > BUDGET));
     if
     :: verdict[x].condemned -> assert(sum == 0)
     :: else -> assert(sum == 1 || (stopping && sum == 0)); assert(sum == 0 || output[x] == 2)
     fi;
     x++
  :: else -> break
  od;
  assert(stopping || done);
  x = 0; y = 0; z = 0; sum = 0
}

/* The same, early: `done` may be stored only when nothing is left. */
inline check_done() {
  sum = 0; x = 0;
  do
  :: x < SLOTS -> sum = sum + CURRENT(x).covered; x++
  :: else -> break
  od;
  assert(sum == CHUNKS);
  x = 0; sum = 0
}

/* ---- board: steps of both sides -------------------------------------------------------------------- */

/* raise(): a bit of the control word; then, a step later, one FUTEX_WAKE for all. */
inline wake_all() {
  d_step {
    x = 0;
    do
    :: x < SLOTS -> asleep[x] = false; x++
    :: else -> break
    od;
    x = 0
  }
}

/* One failure of a chunk, on its verdict: a single store. */
inline store_verdict(chunk) {
  verdict[chunk].failures++;
  verdict[chunk].condemned = (verdict[chunk].failures > BUDGET);
  assert(verdict[chunk].failures <= failed[chunk])
}

/* ---- the worker -------------------------------------------------------------------------------------- */

#define COVERED(s) CURRENT(s).covered

/* reload(): back to what is committed. What lies in the other area, and in the log beyond its length, is
 * read by nobody before it is written again: to clear it here only saves states. */
inline reload(s) {
  running[s] = 0;
  low = CURRENT(s).low;
  high = CURRENT(s).high;
  ran = COVERED(s);
  OTHER(s).low = 0;
  OTHER(s).high = 0;
  OTHER(s).covered = 0;
  x = length[s];
  do
  :: x < CHUNKS -> log[s].id[x] = 0; x++
  :: else -> break
  od;
  x = 0
}

/* resume(): whatever stands in the log and is not committed has been begun before. */
inline resume(s) {
  d_step { reload(s); redo_until = length[s] }
}

/* claim(). The window between the two stores of `claiming` is where an id may be in no log. */
#ifdef REDO_QUEUE
#define NOTHING_TO_CLAIM (stopping || (cursor >= CHUNKS && redo_begin == redo_end))
#define CONTROLS (done || stopping || handover || redo_begin < redo_end)
#else
#define NOTHING_TO_CLAIM (stopping || cursor >= CHUNKS)
#define CONTROLS (done || stopping || handover)
#endif
inline claim(s) {
  d_step { ran == length[s] && !stopping && cursor < CHUNKS -> claiming[s] = true };
  atomic {                                      /* the fetch_add */
    if
    :: taken = 1
    :: BATCH > 1 -> taken = BATCH
    fi;
    first = cursor;
    cursor = cursor + taken;
    if
    :: first >= CHUNKS -> first = 0; taken = 0
    :: first < CHUNKS && first + taken > CHUNKS -> taken = CHUNKS - first
    :: else -> skip
    fi
  };
  d_step {                                      /* the ids, and the store of the length */
    x = 0;
    do
    :: x < taken -> log[s].id[length[s] + x] = first + x; x++
    :: else -> break
    od;
    length[s] = length[s] + taken;
    check_logs();
    first = 0;
    taken = 0
  };
  claiming[s] = false
}

/* run(): the next entry. What was begun before is run even when the run stops, and
 * committed before and after what has failed before. */
#define SUSPECT(s, k) ((k) < redo_until && verdict[log[s].id[k]].failures > 0)
#define NEXT_ENTRY(s) ((ran < redo_until || (ran < length[s] && !stopping)) && \
                       (ran == COVERED(s) || (!SUSPECT(s, ran) && (ran == 0 || !SUSPECT(s, ran - 1)))))
#define CONDEMNED(s) verdict[log[s].id[ran]].condemned

inline skip_entry(s) {
  d_step { NEXT_ENTRY(s) && CONDEMNED(s) -> ran++ }
}

/* run_entry(): its output, its ordered partial, its private additions. The mark `running` and the output
 * are looked at only after the death of their writer: the mark and the kernel's first half are one step,
 * the second half and the mark's removal another. */
inline run_entry(s) {
  d_step {
    NEXT_ENTRY(s) && !CONDEMNED(s) ->
    running[s] = ran + 1;
    busy[s] = log[s].id[ran] + 1;
    x = 0;
    do
    :: x < SLOTS ->
       assert(x == s || busy[x] != busy[s]);
       assert(((CURRENT(x).low >> (2 * log[s].id[ran])) & 3) == 0);
       x++
    :: else -> break
    od;
    x = 0;
    output[log[s].id[ran]] = 1;
    low = low + ONE(log[s].id[ran])
  };
  if
  :: d_step { throws > 0 -> throws--; failed[log[s].id[ran]]++; busy[s] = 0; running[s] = 0 };
     d_step {                                   /* failed() */
       store_verdict(log[s].id[ran]);
       redo_until = (redo_until > ran + 1 -> redo_until : ran + 1);
#ifdef THROW_KEEPS_ACCUMULATORS
       ran = COVERED(s)
#else
       reload(s)
#endif
     }
  :: d_step {
       output[log[s].id[ran]] = 2;
       high = high + ONE(log[s].id[ran]);
       running[s] = 0;
       busy[s] = 0;
       ran++
     }
  fi
}

/* publish(): all of the other area, then the one store that commits. */
#if defined(COMMIT_FIRST) || defined(PUBLISH_IN_PLACE)
#define TARGET(s) CURRENT(s)
#else
#define TARGET(s) OTHER(s)
#endif

inline fill_area(s) {
  d_step { TARGET(s).low = low; check_published(s) };
  d_step { TARGET(s).high = high; check_published(s) };
  d_step { TARGET(s).covered = ran; check_published(s) }
}

inline commit(s) {
  d_step { word[s]++; check_published(s) }
}

inline publish(s) {
  atomic { ran > COVERED(s) -> skip };
#ifdef COMMIT_FIRST
  commit(s);
#endif
  fill_area(s);
#if !defined(COMMIT_FIRST) && !defined(PUBLISH_IN_PLACE)
  commit(s)
#endif
}

#ifdef REDO_QUEUE
inline claim_from_queue(s) {
  d_step { ran == length[s] && redo_begin < redo_end -> first = redo[redo_begin]; redo_begin++ };
  d_step { log[s].id[length[s]] = first; length[s]++; check_logs(); first = 0 }
}
#endif

/* settled(): how much the other slots have committed. Word, header, word again: between the first two
 * the owner may commit its other area and write into this one what is not committed yet. */
inline settled(s) {
  d_step { total = 0; other = (s == 0 -> 1 : 0) };
  do
  :: d_step { other < SLOTS -> seen = word[other] };
     part = slot[other].at[seen & 1].covered;
     d_step {
       if
#ifndef UNCHECKED_COVERED
       :: word[other] != seen -> skip
#endif
       :: else -> total = total + part; other++; other = (other == s -> other + 1 : other)
       fi;
       seen = 0;
       part = 0
     }
  :: other >= SLOTS -> break
  od
}

/* The end of work(): the last owner to commit must see that it is the last. So the sum may not be read
 * before the commit is visible: store, sequentially consistent fence, load. */
inline leave_or_park(s) {
#ifdef NO_FENCE
  (ran == length[s] || stopping) && NOTHING_TO_CLAIM;
  if
  :: ran > COVERED(s) -> fill_area(s); settled(s); commit(s)
  :: else -> settled(s)
  fi;
#else
  ran >= redo_until && ran == COVERED(s) && (ran == length[s] || stopping) && NOTHING_TO_CLAIM;
  settled(s);
#endif
  if
  :: atomic { total + COVERED(s) == CHUNKS -> check_done(); done = true; total = 0; other = 0 };
     wake_all()
  :: atomic { total + COVERED(s) != CHUNKS -> total = 0; other = 0 }
  fi;
  wait_for_controls(s)
}

/* wait_for_controls(): futex_wait compares and falls asleep in one step of the kernel. */
inline wait_for_controls(s) {
  do
  :: CONTROLS -> break
#if defined(PARK_SPINNING)
  :: !CONTROLS -> skip
#elif defined(PARK_UNCOMPARED)
  :: !CONTROLS -> asleep[s] = true; !asleep[s]
#else
  :: d_step { !CONTROLS -> asleep[s] = true }; !asleep[s]
#endif
  od
}

#define FORGET low = 0; high = 0; ran = 0; redo_until = 0; first = 0; taken = 0; \
               total = 0; other = 0; seen = 0; part = 0

/* work(), of whoever runs in slot s: one owner after the other. */
proctype worker(byte s) {
  byte low, high, ran;            /* private accumulators, and how many log entries they cover */
  byte redo_until;                /* entries below this were begun before */
  byte first, taken, total, other, seen, part;

end:
  life[s] == live || life[s] == dying;   /* forked; perhaps killed since */
  {
    resume(s);
    do
    :: run_entry(s)
    :: skip_entry(s)
    :: publish(s)                 /* now; or later, with what comes next */
    :: claim(s)
#ifdef REDO_QUEUE
    :: claim_from_queue(s)
#endif
    :: leave_or_park(s);
#ifdef REDO_QUEUE
       if
       :: done || stopping || handover -> break
       :: else -> skip
       fi
#else
       break
#endif
    od;
    atomic { FORGET; life[s] = left }
  } unless {
    d_step { life[s] == dying -> FORGET; asleep[s] = false; life[s] = dead }
  };
  goto end
}

/* ---- the supervisor, and each standby after it --------------------------------------------------------- */

/* judge(): who was running when its worker died is to blame. The mark goes right after the verdict: one
 * that outlives the judgement is judged again when the next owner dies before it has begun. */
inline judge(s) {
  if
  :: running[s] == 0 -> skip
  :: else ->
     d_step { store_verdict(log[s].id[running[s] - 1]); check_published(s) };
#ifndef STALE_RUNNING
     running[s] = 0
#endif
  fi
}

/* acquit(): whom the standby killed did nothing wrong; and what the last supervisor has judged may not be
 * judged again. */
inline acquit(s) {
#ifdef JUDGE_AGAIN
  judge(s)
#else
  running[s] = 0
#endif
}

/* reclaim(): ids that a worker took from the cursor and died with. The cursor is read before the wait:
 * a worker seen outside its window has logged all it took below that bound, not what it took since. */
inline reclaim(s) {
  if
  :: !claiming[s] -> skip
  :: else ->
#ifndef LATE_CURSOR
     bound = (cursor < CHUNKS -> cursor : CHUNKS);
#endif
#ifndef NO_CLAIM_WAIT
     other = 0;
     do
     :: other < SLOTS ->
        if
        :: other == s || !claiming[other] || life[other] == gone || life[other] == dead ||
           life[other] == left -> other++
        fi
     :: else -> break
     od;
     other = 0;
#endif
#ifdef LATE_CURSOR
     bound = (cursor < CHUNKS -> cursor : CHUNKS);
#endif
#ifndef FORGET_ORPHANS
     d_step { append_orphans(s, bound); orphans = z; z = 0 };
     d_step { length[s] = length[s] + orphans; check_logs(); orphans = 0; bound = 0 };
#endif
     claiming[s] = false
  fi
}

#ifdef REDO_QUEUE
/* The mistake: what is not committed leaves the log, for any worker to take. */
inline move_tail(s) {
  other = CURRENT(s).covered;
  do
  :: other < length[s] ->
     d_step { redo[redo_end] = log[s].id[other]; redo_end++ };
     other++
  :: else -> break
  od;
  length[s] = COVERED(s);
  other = 0;
  wake_all()
}
#endif

/* has_work(); done is not stored while a tail is uncommitted. */
#define HAS_WORK(s) (!done && !stopping && (COVERED(s) < length[s] || !NOTHING_TO_CLAIM))
#define HAS_PROCESS(s) (life[s] == live || life[s] == dying || life[s] == dead || life[s] == left)
#if SLOTS > 2
#define PROCESSES (HAS_PROCESS(0) + HAS_PROCESS(1) + HAS_PROCESS(2))
#else
#define PROCESSES (HAS_PROCESS(0) + HAS_PROCESS(1))
#endif

/* What becomes of a slot whose owner is reaped and judged. Every step may be the supervisor's last; the
 * standby begins again with acquit(). */
inline recover(s) {
  reclaim(s);
#ifdef REDO_QUEUE
  move_tail(s);
#endif
#ifdef UNSETTLED_RECOVERY
  total = (done -> CHUNKS - COVERED(s) : 0);
#else
  settled(s);
#endif
  if
  :: total + COVERED(s) == CHUNKS ->
     /* The dead one may have committed the last chunk and not looked; or have looked, and woken nobody. */
     d_step { check_done(); done = true; total = 0; other = 0 };
#ifndef SILENT_RECOVERY
     wake_all();
#endif
     life[s] = gone
  :: else ->
     d_step {
       total = 0;
       other = 0;
       life[s] = gone;
       if
       :: HAS_WORK(s) && PROCESSES < room -> life[s] = live    /* fork */
       :: HAS_WORK(s) && PROCESSES >= room -> life[s] = vacant
       :: else -> skip
       fi
     };
     if
     :: life[s] == vacant ->
#ifndef NO_HANDOVER
        handover = true;
        wake_all()
#else
        skip
#endif
     :: else -> skip
     fi
  fi
}

/* A process has gone, so there is room for one. */
inline staff_vacant(s) {
  life[s] = live;
  handover = false
}

#define KILL(s, blame) life[s] = dying; \
                if :: busy[s] > 0 -> failed[busy[s] - 1] = failed[busy[s] - 1] + blame; busy[s] = 0 \
                :: else -> skip fi

/* The standby kills the group and waits until nobody is left before it touches the board. */
inline takeover() {
  current = 0;
  do
  :: current < SLOTS ->
#ifdef TAKEOVER_BEFORE_DEATH
     acquit(current);
     reclaim(current);
#endif
     d_step {
       if
       :: life[current] == live -> KILL(current, 0)
       :: else -> skip
       fi;
     };
     life[current] != dying;
     current++
  :: else -> break
  od;
  current = 0;
  do
  :: current < SLOTS -> acquit(current); recover(current); current++
  :: else -> break
  od;
  current = 0
}

#if SLOTS > 2
#define NOBODY (life[0] == gone && life[1] == gone && life[2] == gone)
#else
#define NOBODY (life[0] == gone && life[1] == gone)
#endif

#define WATCH(s) \
       life[s] == dead -> judge(s); recover(s) \
    :: life[s] == left -> life[s] = gone \
    :: life[s] == vacant && HAS_WORK(s) && PROCESSES < room -> staff_vacant(s) \
    :: life[s] == vacant && !HAS_WORK(s) -> life[s] = gone

proctype supervisor() {
  byte current, other, bound, orphans, total, seen, part;

begin:
  {
    if
    :: supervisor_deaths < SUPERVISOR_DEATHS -> takeover()
    :: else -> skip
    fi;
    do
    :: WATCH(0)
    :: WATCH(1)
#if SLOTS > 2
    :: WATCH(2)
#endif
    :: NOBODY -> break
    od;
    atomic { check_result(); finished = true }
  } unless {
    d_step { supervisor_dying -> supervisor_dying = false; 
             current = 0; other = 0; bound = 0; orphans = 0; total = 0; seen = 0; part = 0 };
    goto begin
  }
}

/* ---- the world -------------------------------------------------------------------------------------------- */

/* Kills whom it likes, when it likes. */
proctype fate() {
end:
  do
  :: d_step { worker_deaths > 0 && life[0] == live -> worker_deaths--; KILL(0, 1) }
  :: d_step { worker_deaths > 0 && life[1] == live -> worker_deaths--; KILL(1, 1) }
#if SLOTS > 2
  :: d_step { worker_deaths > 0 && life[2] == live -> worker_deaths--; KILL(2, 1) }
#endif
  :: d_step { supervisor_deaths > 0 && !supervisor_dying && !finished ->
              supervisor_deaths--; supervisor_dying = true }
#ifdef CROWDED
  :: d_step { room == SLOTS -> room = SLOTS - 1 }
#endif
  od
}

#ifdef READER
/* snapshot(): a live reader of slot 0; what it accepts was the exact reduction of a prefix of the log. */
proctype reader() {
  byte seen, low, high, part;

  seen = word[0];
  low = slot[0].at[seen & 1].low;
  high = slot[0].at[seen & 1].high;
  part = slot[0].at[seen & 1].covered;
  if
#ifdef UNCHECKED_SNAPSHOT
  :: true ->
#else
  :: word[0] != seen -> skip
  :: else ->
#endif
     d_step {
       assert(part <= length[0]);
       reduce_log(0, part);
       assert(low == sum && high == sum);
       sum = 0; x = 0
     }
  fi;
  d_step { seen = 0; low = 0; high = 0; part = 0 }
}
#endif

#ifdef STOPPER
/* The caller asks for an early end. */
proctype stopper() {
  stopping = true;
  wake_all()
}
#endif

init {
  atomic {
    run worker(0);
    run worker(1);
#if SLOTS > 2
    run worker(2);
#endif
    run fate();
#ifdef READER
    run reader();
#endif
#ifdef STOPPER
    run stopper();
#endif
    run supervisor()
  }
}
