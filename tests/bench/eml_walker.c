/* `import eml_walker`: the walker of emlearn's eml_trees.h as a native MicroPython module, for tests/bench only.
 *
 * An EmlTrees and what it points to lie in one bytearray, filled piece by piece. Predictions, (it, features, scores):
 *   predict  eml_trees_predict(): votes are floats, as upstream has them; scores are left as they are
 *   proba    eml_trees_predict_proba() into array('f'): the same without the class, which is upstream's predict()
 *   walk     eml_trees_predict_tree() alone, votes into array('i'): the header's walk at its cheapest
 *   nothing  checks its arguments: what any call costs
 */
#include "py/dynruntime.h"

/* The compiler calls it to clear the votes; there is no C library to link with */
void *memset(void *to, int value, size_t n) {
    return mp_fun_table.memset_(to, value, n);
}

#define EML_TREES_REGRESSION_ENABLE 0
#include <eml_trees.h>

static EmlTrees *trees_of(mp_obj_t o) {
    mp_buffer_info_t buffer;
    mp_get_buffer_raise(o, &buffer, MP_BUFFER_WRITE);
    return buffer.buf;
}

/* create(buffer, nodes, trees, features, classes): the buffer has 44 + 8 * nodes + 4 * trees + leaves bytes */
static mp_obj_t create(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    (void)self;
    mp_arg_check_num(n_args, n_kw, 5, 5, false);
    EmlTrees *t = trees_of(args[0]);
    t->nodes = (EmlTreesNode *)(t + 1);
    t->tree_roots = (int32_t *)(t->nodes + mp_obj_get_int(args[1]));
    t->leaves = (uint8_t *)(t->tree_roots + mp_obj_get_int(args[2]));
    t->n_nodes = t->n_trees = t->n_leaves = t->leaf_bits = 0;
    t->n_features = mp_obj_get_int(args[3]);
    t->n_classes = mp_obj_get_int(args[4]);
    return mp_const_none;
}

static mp_obj_t addnode(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    (void)self;
    mp_arg_check_num(n_args, n_kw, 5, 5, false);
    EmlTrees *t = trees_of(args[0]);
    EmlTreesNode *node = &t->nodes[t->n_nodes++];
    node->left = mp_obj_get_int(args[1]);
    node->right = mp_obj_get_int(args[2]);
    node->feature = mp_obj_get_int(args[3]);
    node->value = mp_obj_get_int(args[4]);
    return mp_const_none;
}

static mp_obj_t addroot(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    (void)self;
    mp_arg_check_num(n_args, n_kw, 2, 2, false);
    EmlTrees *t = trees_of(args[0]);
    t->tree_roots[t->n_trees++] = mp_obj_get_int(args[1]);
    return mp_const_none;
}

static mp_obj_t addleaf(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    (void)self;
    mp_arg_check_num(n_args, n_kw, 2, 2, false);
    EmlTrees *t = trees_of(args[0]);
    t->leaves[t->n_leaves++] = mp_obj_get_int(args[1]);
    return mp_const_none;
}

enum { NOTHING, WALK, PROBA, PREDICT };

static mp_obj_t run(size_t n_args, size_t n_kw, mp_obj_t *args, int what) {
    mp_arg_check_num(n_args, n_kw, 3, 3, false);
    mp_buffer_info_t features;
    mp_buffer_info_t scores;
    const EmlTrees *t = trees_of(args[0]);
    mp_get_buffer_raise(args[1], &features, MP_BUFFER_READ);
    mp_get_buffer_raise(args[2], &scores, MP_BUFFER_WRITE);
    if (features.len != 2 * (size_t)t->n_features || scores.len != 4 * (size_t)t->n_classes) {
        return MP_OBJ_NEW_SMALL_INT(-1);
    }
    const int16_t *x = features.buf;
    if (what == PREDICT) {
        return MP_OBJ_NEW_SMALL_INT(eml_trees_predict(t, x, t->n_features));
    }
    if (what == PROBA) {
        return MP_OBJ_NEW_SMALL_INT(eml_trees_predict_proba(t, x, t->n_features, scores.buf, t->n_classes));
    }
    if (what == NOTHING) {
        return MP_OBJ_NEW_SMALL_INT(0);
    }
    int32_t *votes = scores.buf;
    for (int32_t i = 0; i < t->n_classes; i++) {
        votes[i] = 0;
    }
    for (int32_t i = 0; i < t->n_trees; i++) {
        votes[t->leaves[eml_trees_predict_tree(t, t->tree_roots[i], x, t->n_features)]]++;
    }
    int32_t best = 0;
    for (int32_t i = 1; i < t->n_classes; i++) {
        if (votes[i] > votes[best]) {
            best = i;
        }
    }
    return MP_OBJ_NEW_SMALL_INT(best);
}

static mp_obj_t nothing(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    (void)self;
    return run(n_args, n_kw, args, NOTHING);
}

static mp_obj_t walk(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    (void)self;
    return run(n_args, n_kw, args, WALK);
}

static mp_obj_t proba(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    (void)self;
    return run(n_args, n_kw, args, PROBA);
}

static mp_obj_t predict(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    (void)self;
    return run(n_args, n_kw, args, PREDICT);
}

mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    (void)n_args;
    (void)n_kw;
    (void)args;
    MP_DYNRUNTIME_INIT_ENTRY
    mp_store_global(MP_QSTR_create, MP_DYNRUNTIME_MAKE_FUNCTION(create));
    mp_store_global(MP_QSTR_addnode, MP_DYNRUNTIME_MAKE_FUNCTION(addnode));
    mp_store_global(MP_QSTR_addroot, MP_DYNRUNTIME_MAKE_FUNCTION(addroot));
    mp_store_global(MP_QSTR_addleaf, MP_DYNRUNTIME_MAKE_FUNCTION(addleaf));
    mp_store_global(MP_QSTR_nothing, MP_DYNRUNTIME_MAKE_FUNCTION(nothing));
    mp_store_global(MP_QSTR_walk, MP_DYNRUNTIME_MAKE_FUNCTION(walk));
    mp_store_global(MP_QSTR_proba, MP_DYNRUNTIME_MAKE_FUNCTION(proba));
    mp_store_global(MP_QSTR_predict, MP_DYNRUNTIME_MAKE_FUNCTION(predict));
    MP_DYNRUNTIME_INIT_EXIT
}
