/* One slot of the board in detail, for the Spin model checker: quarantine, and the undo of what chunks
 * change in place. README.md says how to run and read it; board.pml has what slots do with each other.
 *
 * The log is the chunks in their order, claimed one by one. Each index of a chunk has one cell of a buffer
 * that the kernel changes in place, and counts once in an accumulator and in the chunk's ordered partial.
 * Some indices are poisonous: the kernel dies of them, kills its own process, or throws. Besides, the owner and
 * the supervisor may die before each of their steps. One step is one store that somebody may see next.
 *
 * Switches that set sizes: CHUNKS WIDTH BUDGET KILLS KILL_BUDGET FLUKES HANGS UNDO POISONS SUPERVISOR_DEATHS
 * Switches that add something: THROWING KILLING STOPS RANGE
 * Every other name tested below with #ifdef is a planted mistake: see `run`. */

#ifndef CHUNKS
#define CHUNKS 2
#endif
#ifndef WIDTH
#define WIDTH 4               /* indices of a chunk; CHUNKS * WIDTH is at most 15 */
#endif
#ifndef BUDGET
#define BUDGET 0              /* failures of a chunk before it comes into quarantine */
#endif
#ifndef POISONS
#define POISONS 2             /* at most so many indices are poisonous: which ones, and how many, is tried */
#endif
#ifndef KILLS
#define KILLS 1               /* deaths of owners that are no fault of their chunks */
#endif
#ifndef KILL_BUDGET
#define KILL_BUDGET 9         /* of these, how many are forgiven a chunk; those beyond are crashes */
#endif
#ifndef FLUKES
#define FLUKES 0              /* crashes of kernels that were not at a poisonous index */
#endif
#ifndef HANGS
#define HANGS 0               /* owners that take too long, once more than is borne: all that is left is lost */
#endif
#ifndef UNDO
#define UNDO 2                /* chunks whose old values have room in the undo memory */
#endif
#ifndef SUPERVISOR_DEATHS
#define SUPERVISOR_DEATHS 0
#endif

#define BORNE 1                       /* deaths in one index alone; one more, and it is given up */
#define TRIES 2                       /* failures of a good range before it is cut; the code has 3 */
#define INDICES (CHUNKS * WIDTH)
#define OLD(index) (2 * (index) + 2)  /* what a cell holds at first; one more: it has been changed once */
#define HALF 1                        /* the kernel is changing it */

/* ---- shared memory ------------------------------------------------------------------------------- */

typedef area {
  int sum;                    /* counts each index in two of its bits */
  byte covered;
  byte probed; byte width; byte failures_seen; bool has_partial;  /* probe_header */
  byte partial                /* of the entry in quarantine: a bit for each index */
};
area at[2];
bit current;                  /* the commit word: the area, */
bool probing;                 /* and whether entry `covered` is in quarantine */

byte length;
byte running;                 /* log index + 1 of the entry in progress; 0: none */
byte saved;
byte undo_first;
byte old[UNDO * WIDTH];

byte cell[INDICES];
byte partial[CHUNKS];

mtype = { fine, quarantined, condemned };
typedef verdict_word { mtype state = fine; byte kills; byte crashes; byte errors; byte failed_probes };
verdict_word verdict[CHUNKS];  /* one word: read and written whole */

short lost;                   /* a bit for each index */
/* search_notes */
byte try_first; byte try_last;
byte suspect; byte suspect_deaths;      /* one word */
byte searched; byte search_width; byte search_seen;
bool stopping;

/* ---- processes ----------------------------------------------------------------------------------- */

mtype = { live, dying, dead, left, gone };
mtype life = live;
mtype = { no_fault, killed, crashed, thrown, hung };
mtype cause = no_fault;
bool supervisor_dying;
bool finished;
byte kills = KILLS;
byte flukes = FLUKES;
byte hangs = HANGS;
byte supervisor_deaths = SUPERVISOR_DEATHS;

/* ---- what the checks know and the protocol does not ------------------------------------------------ */

short poison;                 /* a bit for each index */
bool excused;                 /* innocent indices may be given up: luck, or a hang */

hidden byte x;
hidden byte chunk_of;
hidden byte in_chunk;
hidden byte end_of;
hidden byte value;
hidden byte is_complete;
hidden byte wanted;
hidden short completed;

#define ONE(index) (1 << (2 * (index)))
#define CURRENT at[current]
#define OTHER at[1 - current]
#define COVERED CURRENT.covered
#define PROBED (probing -> CURRENT.probed : 0)
#define IS_LOST(index) ((lost >> (index)) & 1)

/* The invariant of every moment, since the run may end at any, with whoever could go on. What outcome
 * calls completed is exactly what the published accumulators hold, what the ordered partials hold, and
 * what stays changed once restore() has brought the old values back. */
inline check() {
  x = 0; completed = 0; wanted = 0;
  do
  :: x < INDICES ->
     chunk_of = x / WIDTH;
     in_chunk = x % WIDTH;
     end_of = (chunk_of < COVERED -> WIDTH : (chunk_of == COVERED -> PROBED : 0));
     is_complete = in_chunk < end_of && !IS_LOST(x);
     completed = completed | (is_complete << x);
     assert(((CURRENT.sum >> (2 * x)) & 3) == is_complete);

     wanted = wanted | (is_complete << in_chunk);
     if
     :: in_chunk == WIDTH - 1 ->
        if
        :: wanted == 0 -> skip
        :: wanted != 0 && chunk_of < COVERED -> assert(partial[chunk_of] == wanted)
        :: else -> assert(CURRENT.has_partial && CURRENT.partial == wanted)
        fi;
        wanted = 0
     :: else -> skip
     fi;

     value = cell[x];
     if
     :: chunk_of >= COVERED && undo_first <= chunk_of && chunk_of < saved &&
        !(chunk_of == COVERED && in_chunk < PROBED) ->
        value = old[(chunk_of - undo_first) * WIDTH + in_chunk]
     :: else -> skip
     fi;
     assert(value == OLD(x) + is_complete);
     x++
  :: else -> break
  od;
  x = 0; chunk_of = 0; in_chunk = 0; end_of = 0; value = 0;
  is_complete = false
}

/* A run is over. Nothing is lost: all is completed, or given up for a reason. */
inline check_result() {
  check();
  assert(excused || stopping || completed == ((1 << INDICES) - 1 - poison));
  assert(stopping || COVERED == CHUNKS);
#ifdef STOPS
  /* Stopped, exactly if something was given up. */
  assert(stopping == (lost != 0));
#endif
  x = COVERED;
  do
  :: x < length -> assert(verdict[x].state != quarantined); x++
  :: else -> break
  od;
  x = 0; completed = 0
}

/* Kernels by index are walked from their first failure on. */
#ifdef RANGE
#define AT_FIRST BUDGET
#else
#define AT_FIRST 0
#endif

/* One accident costs no index. Kills beyond their budget are such, but not what a kernel does to itself. */
#ifdef KILLING
#define BEYOND_BUDGET KILLS
#else
#define BEYOND_BUDGET (KILLS > KILL_BUDGET -> KILLS - KILL_BUDGET : 0)
#endif
#define EXCUSED (FLUKES + BEYOND_BUDGET > 1)

/* Kills within their budget are held against nobody. */
#ifdef KILLS_CONDEMN
#define IS_FORGIVEN(chunk, why) ((why) == killed)
#else
#define IS_FORGIVEN(chunk, why) ((why) == killed && verdict[chunk].kills < KILL_BUDGET)
#endif

/* verdict::add(), and its one store. */
inline judge_chunk(chunk, why) {
  if
  :: why == hung -> verdict[chunk].state = condemned; excused = true
  :: IS_FORGIVEN(chunk, why) ->
     verdict[chunk].kills++;
#ifdef KILLS_CONDEMN
     if
     :: verdict[chunk].kills > KILL_BUDGET -> verdict[chunk].state = condemned
     :: else -> skip
     fi
#endif
#ifdef KILLS_FORGOTTEN
  :: why == killed && verdict[chunk].kills == KILL_BUDGET -> skip
#endif
  :: else ->
     excused = excused || (EXCUSED && why == killed);
     if
     :: verdict[chunk].state == quarantined ->
        verdict[chunk].failed_probes++
     :: verdict[chunk].state != quarantined && why == thrown ->
        verdict[chunk].errors++;
        verdict[chunk].state = quarantined
     :: else ->
        verdict[chunk].crashes++;
        if
        :: verdict[chunk].crashes > AT_FIRST -> verdict[chunk].state = quarantined
        :: else -> skip
        fi
     fi
  fi
}

/* note_loss(): without keep_going nothing new is begun once something is given up. */
#ifdef STOPS
#define NOTE_LOSS stopping = true
#else
#define NOTE_LOSS skip
#endif

/* ---- the owner ------------------------------------------------------------------------------------- */

#define ATTEMPTS(k) (verdict[k].kills + verdict[k].crashes + verdict[k].errors + verdict[k].failed_probes)

#ifdef COMMIT_FIRST
#define TARGET CURRENT
#else
#define TARGET OTHER
#endif

/* prepare_commit(), and publish_quarantine() if it probes: all of the other area. The one store follows. */
inline fill_area(probes) {
  TARGET.sum = sum;
  TARGET.covered = next;
  if
  :: probes ->
#ifndef UNCARRIED_PARTIAL
     d_step { TARGET.partial = (has_partial -> mine : 0); TARGET.has_partial = has_partial };
#endif
     d_step { TARGET.probed = probed; TARGET.width = width; TARGET.failures_seen = seen }
  :: else -> d_step { walking = false; probed = 0; width = 0; seen = 0; has_partial = false; mine = 0 }
  fi
}

/* What lies in the other area is read by nobody before it is written again: this only saves states. */
#define CLEAR_OTHER OTHER.sum = 0; OTHER.covered = 0; OTHER.probed = 0; OTHER.width = 0; \
                    OTHER.failures_seen = 0; OTHER.has_partial = false; OTHER.partial = 0

inline store_word(probes) {
  d_step {
    current = 1 - current;
#ifdef PROBING_KEPT
    probing = probing || probes;
#else
    probing = probes;
#endif
    walking = probes;
    CLEAR_OTHER
  }
}

inline commit(probes) {
#ifdef COMMIT_FIRST
  store_word(probes);
  fill_area(probes)
#else
  fill_area(probes);
  store_word(probes)
#endif
}

inline publish() {
  if
  :: next > COVERED -> commit(false)
  :: else -> skip
  fi
}

#ifdef RESTORE_COMMITTED
#define COMMITTED_STAYS 0
#else
#define COMMITTED_STAYS WIDTH
#endif
#ifdef RESTORE_PROBED
#define PROBED_STAYS 0
#else
#define PROBED_STAYS PROBED
#endif

/* restore(), cell by cell. Old values lie in the order of the log, from entry undo_first on. */
inline restore() {
  d_step { k = undo_first; used = 0 };
  do
  :: k < saved ->
     if
     :: k < COVERED -> i = COMMITTED_STAYS
     :: else -> i = (k == COVERED -> PROBED_STAYS : 0)
     fi;
     do
     :: i < WIDTH -> d_step { cell[k * WIDTH + i] = old[used * WIDTH + i]; i++ }
     :: else -> break
     od;
     i = 0;
     d_step { used++; k++ }
  :: else -> break
  od;
  k = 0
}

/* reload(): back to what is committed. */
inline reload() {
  running = 0;
#ifndef NO_RESTORE
  restore();
#endif
  d_step {
#ifdef UNDO_UNCOUNTED
    used = 0;
#endif
    next = COVERED;
    sum = CURRENT.sum;
    walking = probing;
    probed = PROBED;
#ifdef WALK_FROM_START
    probed = 0;
#endif
    width = (probing -> CURRENT.width : 0);
    seen = (probing -> CURRENT.failures_seen : 0);
    has_partial = probing && CURRENT.has_partial;
    mine = (has_partial -> CURRENT.partial : 0);
    CLEAR_OTHER
  }
}

/* save(): the old values, then one store that counts them. */
inline save() {
  if
  :: next < saved -> skip
  :: else ->
     if
     :: COVERED < next && used + 1 > UNDO ->
#ifdef UNDO_OVERRUN
        used = 0
#else
        publish()
#endif
     :: else -> skip
     fi;
     if
#ifdef UNDO_FREED_EARLY
     :: true ->
#else
     :: COVERED == next ->
#endif
        d_step { undo_first = next; used = 0 }
#ifndef UNDO_FREED_EARLY
     :: else -> skip
#endif
     fi;
#ifdef COUNTED_FIRST
     saved = next + 1;
#endif
     k = 0;
     do
     :: k < WIDTH -> d_step { old[used * WIDTH + k] = cell[next * WIDTH + k]; k++ }
     :: else -> break
     od;
     k = 0;
     used++;
#ifndef COUNTED_FIRST
     saved = next + 1
#endif
  fi
}

/* put_back(): old values of the entry's indices [from, until). */
inline put_back(from, until) {
#ifndef THROW_SPOILS
  k = from;
  do
  :: k < until -> d_step { cell[next * WIDTH + k] = old[(next - undo_first) * WIDTH + k]; k++ }
  :: else -> break
  od;
  k = 0
#else
  skip
#endif
}

#define GIVE_UP(unit) lost = lost | (1 << (next * WIDTH + (unit)))
#define HAS_FAILED(unit) (suspect == (unit) && suspect_deaths > BORNE)

/* lose_rest() */
inline lose_rest() {
#ifndef REST_UNMARKED
  k = probed;
  do
  :: k < WIDTH -> GIVE_UP(k); k++
  :: else -> break
  od;
  k = 0;
#endif
  NOTE_LOSS;
  if
  :: walking -> end_quarantine()
  :: else -> skip
  fi;
  ended = true
}

/* end_quarantine() */
inline end_quarantine() {
#ifndef PARTIAL_LEFT
  if
  :: has_partial -> partial[next] = mine
  :: else -> skip
  fi
#else
  skip
#endif
}

/* begin_quarantine() */
inline begin_quarantine() {
  publish();
  d_step {
    suspect = 0; suspect_deaths = 0; searched = 0; search_width = WIDTH / 2;
    search_seen = verdict[next].failed_probes;
    probed = 0; width = WIDTH; seen = verdict[next].failed_probes; has_partial = false; mine = 0
  };
  commit(true)
}

/* commit_walk(): as is due, or at once. */
inline commit_walk(at_once) {
  if
  :: probed == PROBED -> skip
  :: probed != PROBED -> commit(true)
  :: probed != PROBED && !(at_once) -> skip
  fi
}

/* One turn of walk(). */
inline walk() {
  if
  :: probed < WIDTH && HAS_FAILED(probed) -> GIVE_UP(probed)
  :: else -> skip
  fi;
  if
  :: probed == WIDTH -> skip            /* all was committed already */
  :: probed < WIDTH && IS_LOST(next * WIDTH + probed) ->
#ifndef LOSS_NOTED_LATE
     NOTE_LOSS;
#endif
     probed++;
     commit_walk(false);
#ifdef LOSS_NOTED_LATE
     NOTE_LOSS
#endif
  :: else ->
     if
     :: suspect == probed && suspect_deaths > 0 -> commit_walk(true)
     :: else -> skip
     fi;
     run_piece(probed, probed + 1);
     if
     :: threw ->
#ifdef LOST_LATE
        d_step { probed++; threw = false };
        put_back(probed - 1, probed);
        commit_walk(true);
        GIVE_UP(probed - 1)
#else
        GIVE_UP(probed);
        if
        :: put_back(probed, probed + 1)
        :: reload()                     /* where the kernel adds in place */
        fi
#endif
     :: else ->
        d_step { probed++; has_partial = true };
        commit_walk(false)
     fi
  fi;
  if
  :: probed == WIDTH -> end_quarantine(); ended = true
  :: else -> skip
  fi
}

/* pass(): the notes, store by store. */
inline pass(units, then) {
  search_seen = verdict[next].failed_probes;
  search_width = then;
  searched = units
}

/* search(), on scratch states: a turn. */
inline search() {
  if
  :: HAS_FAILED(searched) -> GIVE_UP(searched)
  :: else -> skip
  fi;
  if
  :: IS_LOST(next * WIDTH + searched) -> NOTE_LOSS; pass(searched + 1, 1)
  :: else ->
     d_step {
       part = search_width >> (verdict[next].failed_probes - search_seen);
       part = (part == 0 -> 1 : part);
       part = (part > WIDTH - searched -> WIDTH - searched : part)
     };
     run_piece(searched, searched + part);
     if
     :: threw ->
        if
        :: part == 1 -> GIVE_UP(searched)
        :: else -> skip
        fi;
        put_back(searched, searched + part)
     :: else ->
        k = searched + part;
        pass(k, (2 * part < WIDTH - k -> 2 * part : WIDTH - k));
        k = 0
     fi
  fi;
#ifndef SEARCHED_STATES_KEPT
  if
  :: searched == WIDTH -> reload()
  :: else -> skip
  fi
#endif
}

#ifdef SEARCH_COUNTS
#define SEEN seen
#else
#define SEEN (seen > search_seen -> seen : search_seen)
#endif

/* One turn of run_good(). What counts is cut where indices fail, and nowhere else. */
inline run_good() {
  if
  :: IS_LOST(next * WIDTH + probed) -> NOTE_LOSS; d_step { probed++; width = WIDTH }
  :: else ->
     d_step {
       k = probed;
       do
       :: k < WIDTH && !IS_LOST(next * WIDTH + k) -> k++
       :: else -> break
       od;
       good = k - probed; k = 0;
       part = (width < good -> width : good) >> ((verdict[next].failed_probes - SEEN) / TRIES);
#ifdef SEARCH_CUTS
       part = (search_width > 0 && search_width < part -> search_width : part);
#endif
       assert(part == good)
     };
     run_piece(probed, probed + part);
     if
     :: threw -> reload()
     :: else ->
        d_step {
          probed = probed + part; has_partial = true;
          width = WIDTH; seen = verdict[next].failed_probes; good = 0
        };
        if
        :: probed < WIDTH -> commit(true)
        :: else -> skip
        fi
     fi
  fi;
  if
  :: probed == WIDTH -> end_quarantine(); ended = true
  :: else -> skip
  fi
}

inline quarantine() {
  if
  :: !walking -> begin_quarantine()
  :: else -> skip
  fi;
  save();
#ifdef RANGE
  if
  :: searched < WIDTH -> search()
  :: else -> run_good()
  fi
#else
  walk()
#endif
}

#ifdef KILLING
#define POISON killed
#else
#define POISON crashed
#endif

/* run_piece(), and run_whole(), which is all of a chunk: the kernel, index by index. It must find the old value in each cell; and it adds to a partial
 * from left to right, each index once. Of a poisonous index it dies half-way, or it throws. */
inline run_piece(first, last) {
  d_step {
    try_first = first;
    try_last = last;
    running = next + 1;
    i = first;
    to = last;
    threw = false;
    if
    :: has_partial -> skip
    :: else -> mine = 0
    fi
  };
  do
  :: i < to && !threw ->
     d_step { assert(cell[next * WIDTH + i] == OLD(next * WIDTH + i)); cell[next * WIDTH + i] = HALF };
     if
     :: (poison >> (next * WIDTH + i)) & 1 ->
#ifdef THROWING
        threw = true
#else
        d_step { life = dying; cause = POISON };
        false
#endif
     :: else ->
        d_step {
          cell[next * WIDTH + i] = OLD(next * WIDTH + i) + 1;
          sum = sum + ONE(next * WIDTH + i);
          assert(mine < (1 << i));
          mine = mine + (1 << i);
          if
          :: walking -> skip
          :: else -> partial[next] = mine
          fi;
          i++
        }
     fi
  :: else -> break
  od;
  running = 0;
  d_step { i = 0; to = 0 };
  if
  :: threw -> d_step { judge_chunk(next, thrown) }
  :: else -> skip
  fi
}

inline run_entry() {
  if
  :: next < redo_until && verdict[next].state == condemned ->
     lose_rest()
  :: next < redo_until && verdict[next].state == quarantined ->
#ifdef STOPPED_EARLY
     NOTE_LOSS;
#endif
     quarantine()
  :: else ->
     save();
     run_piece(0, WIDTH);
     if
     :: threw ->
        redo_until = (redo_until < next + 1 -> next + 1 : redo_until);
        reload()
     :: else -> d_step { ended = true; mine = 0 }
     fi
  fi
}

#ifdef UNPUBLISHED_SUSPECTS
#define SUSPECT false
#else
#define SUSPECT (next < redo_until && ATTEMPTS(next) > 0)
#endif

#define FORGET sum = 0; next = 0; redo_until = 0; used = 0; walking = false; probed = 0; width = 0; \
               seen = 0; has_partial = false; mine = 0; part = 0; i = 0; to = 0; k = 0; \
               suspicious = false; ended = false; threw = false; good = 0

/* work(), of one owner after the other. */
proctype owner() {
  int sum;                        /* private accumulators, */
  byte next;                      /* and how many log entries they cover */
  byte redo_until;                /* entries below this were begun before */
  byte used;                      /* of the undo memory, in chunks */
  bool walking, has_partial;      /* probing_ and partial_, of the entry in quarantine */
  byte probed, width, seen, mine;
  byte part, good, i, to, k;
  bool suspicious, ended, threw;

end:
  life == live || life == dying;
  {
    reload();
    redo_until = length;
    do
    :: next < length && (next < redo_until || !stopping) ->
       d_step { suspicious = SUSPECT; ended = false; threw = false };
       if
       :: suspicious -> publish()
       :: else -> skip
       fi;
       run_entry();
       if
       :: ended ->
          d_step { next++; ended = false };
          if
          :: true -> publish()
          :: !suspicious -> skip   /* later, with what comes next */
          fi
       :: else -> skip
       fi;
       d_step { suspicious = false; threw = false; good = 0; part = 0 }
    :: next == length && length < CHUNKS && !stopping -> length++
    :: (next == length && length == CHUNKS) || (next >= redo_until && stopping) -> publish(); break
    od;
    atomic { FORGET; life = left }
  } unless {
    d_step { life == dying -> FORGET; life = dead }
  };
  goto end
}

/* ---- the supervisor, and each standby after it --------------------------------------------------------- */

#ifdef KILL_SUSPECTS
#define MAKES_SUSPECT (cause != hung)
#else
#define MAKES_SUSPECT (cause != hung && !IS_FORGIVEN(running - 1, cause))
#endif
inline judge() {
  if
  :: running > 0 && cause != no_fault ->
     if
     :: MAKES_SUSPECT && verdict[running - 1].state == quarantined && try_last - try_first == 1 ->
        suspect_it(running - 1)
     :: else -> skip
     fi;
     d_step { judge_chunk(running - 1, cause) };
     running = 0
  :: else -> running = 0
  fi
}

/* suspect(): who dies alone is the suspect. */
inline suspect_it(chunk) {
#ifndef SUSPECT_FORGOTTEN
  d_step {
    suspect_deaths = (suspect == try_first -> suspect_deaths + 1 : 1);
#ifdef GUILTY_AT_ONCE
    suspect_deaths = 2;
#endif
    suspect = try_first
  }
#else
  skip
#endif
}

/* A run that stops still finishes what is in quarantine. */
#ifdef STOP_ABANDONS
#define IN_QUARANTINE false
#else
#define IN_QUARANTINE (x < length)
#endif
inline staff() {
  d_step {
    x = COVERED;
    do
    :: x < length && verdict[x].state != quarantined -> x++
    :: else -> break
    od;
    cause = no_fault;
    life = ((!stopping && COVERED < CHUNKS) || IN_QUARANTINE -> live : gone);
    x = 0
  }
}

proctype supervisor() {
begin:
  {
    if
    :: supervisor_deaths < SUPERVISOR_DEATHS ->
       d_step {
         if
         :: life == live || life == dying -> life = dying; cause = no_fault
         :: else -> skip
         fi
       };
       life != dying;
       running = 0;                /* acquit() */
       staff()
    :: else -> skip
    fi;
    do
    :: life == dead -> judge(); staff()
    :: life == left -> life = gone
    :: life == gone -> break
    od;
    atomic { finished = true; d_step { check_result() } }
  } unless {
    d_step { supervisor_dying -> supervisor_dying = false };
    goto begin
  }
}

/* ---- the world -------------------------------------------------------------------------------------------- */

proctype fate() {
end:
  do
  :: d_step { kills > 0 && life == live -> kills--; life = dying; cause = killed }
  :: d_step { flukes > 0 && life == live && running > 0 ->
              flukes--; excused = excused || EXCUSED; life = dying; cause = crashed }
  :: d_step { hangs > 0 && life == live && running > 0 -> hangs--; life = dying; cause = hung }
  :: d_step { supervisor_deaths > 0 && !supervisor_dying && !finished ->
              supervisor_deaths--; supervisor_dying = true }
  od
}

/* Looks at one moment, whichever. */
proctype witness() {
  d_step { check(); completed = 0 }
}

init {
  byte j, poisons;
  atomic {
    do
    :: j < INDICES && poisons < POISONS -> cell[j] = OLD(j); poison = poison | (1 << j); poisons++; j++
    :: j < INDICES -> cell[j] = OLD(j); j++
    :: j == INDICES -> break
    od;
    j = 0;
    poisons = 0;
    run owner();
    run fate();
    run witness();
    run supervisor()
  }
}
