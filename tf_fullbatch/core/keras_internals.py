"""The private parts of Keras and TensorFlow that the package relies on, in one place, each with the reason."""

import collections
import contextlib
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras.src import tree
from keras.src.backend.common import global_state
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
from keras.src.trainers.compile_utils import get_loss
from tensorflow.python.autograph.core import ag_ctx
from tensorflow.python.eager.polymorphic_function import autograph_util, polymorphic_function
from tensorflow.python.framework import ops, registry
from tensorflow.python.ops import control_flow_v2_func_graphs, custom_gradient
from tensorflow.python.util import pywrap_xla_ops

_NAMES = "object_name_uids"
"""Keras' global counts of layers' names (`keras.src.utils.naming.auto_name`)."""

_DEEPEST = 50_000
"""Calls within calls; those of Python alone take no room on the stack."""


def layers_of(network: keras.Model) -> list[keras.layers.Layer]:
    """The network and every layer within it; the public `layers` lists the outermost alone."""
    return network._flatten_layers()


class LayerCall(NamedTuple):
    """One use of a layer or operation in a functional network.

    Attributes:
        operation: The layer or operation.
        inputs: Symbolic tensors that it was given, in order, whatever structure they stood in.
        outputs: Those that it returned.
        arguments: What it was given in order, symbolic tensors and all else.
    """

    operation: Any
    inputs: list
    outputs: list
    arguments: tuple


def calls_of(network: keras.Model) -> Iterator[LayerCall]:
    """Each use of a layer or operation, in order of computation, models within it opened; no public list has them."""
    for depth in sorted(_functional(network)._nodes_by_depth, reverse=True):
        for node in _functional(network)._nodes_by_depth[depth]:
            if isinstance(node.operation, keras.Model) and is_functional(node.operation):
                yield from calls_of(node.operation)
            elif not node.is_input:
                inputs, outputs = list(node.input_tensors), list(node.output_tensors)
                yield LayerCall(node.operation, inputs, outputs, tuple(node.arguments.args))


def is_functional(network: keras.Model) -> bool:
    """Whether a network's layers are known as a graph: a functional or a built sequential model."""
    return hasattr(_functional(network), "_nodes_by_depth")


def _functional(network: keras.Model) -> Any:
    """A sequential model's functional one, which it makes when it is built; else the network."""
    return getattr(network, "_functional", None) or network


def map_shapes(function: Callable, shapes: Any) -> Any:
    """Maps a function over a shape, or a structure of shapes; to public functions a shape is a structure itself."""
    return tree.map_shape_structure(function, shapes)


def what_trains(network: keras.Model) -> tuple[Any, ...]:
    """The trainable variables, by identity, and which layers are to train; a compiled step keeps what it was."""
    layers = tuple(layer.trainable for layer in layers_of(network))
    return (*map(id, network.trainable_variables), *layers)


def seed_variables(network: keras.Model) -> list[keras.Variable]:
    """States of the seed generators that layers track, in layer order; Keras has no public list of them."""
    return [g.state for layer in layers_of(network) for g in getattr(layer, "_seed_generators", [])]


def is_seed(variable: keras.Variable) -> bool:
    """Whether a variable is a seed generator's state: also of generators that no layer tracks, Keras' own included."""
    return variable.name == "seed_generator_state"


def compiled(function: Callable) -> Any:
    """A `tf.function`; each model has its own, which TensorFlow would take for one traced over and over, and warn."""
    made = tf.function(function, autograph=False)
    made._omit_frequent_tracing_warning = True
    return made


@contextlib.contextmanager
def global_generator(generator: keras.random.SeedGenerator) -> Iterator[None]:
    """Within it, Keras draws by this generator where no seed is given: it would make one in the middle of a trace."""
    previous = global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)
    global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, generator)
    try:
        yield
    finally:
        global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, previous)


@contextlib.contextmanager
def names_from_the_start() -> Iterator[None]:
    """Layers without a name of their own are numbered as in a new process for a while: dense, dense_1, ..."""
    counted = global_state.get_global_attribute(_NAMES)
    global_state.set_global_attribute(_NAMES, collections.defaultdict(int))
    try:
        yield
    finally:
        global_state.set_global_attribute(_NAMES, counted)


@contextlib.contextmanager
def deep_networks() -> Iterator[None]:
    """Within it networks of thousands of layers are made and loaded: Keras goes back over them by a call for each."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _DEEPEST))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def compiled_metrics(model: keras.Model) -> keras.metrics.Metric | None:
    """The container of the metrics given to `compile`, if any; `model.metrics` also lists Keras' own mean loss."""
    return model._compile_metrics


def compile_key(model: keras.Model) -> tuple[Any, ...]:
    """What changes when `compile` is called again."""
    return (model.optimizer, model._compile_loss, model._compile_metrics)


def compile_argument(model: keras.Model, name: str) -> Any:
    """An argument of `compile` as it was given; the public attributes resolve "auto"."""
    return model._compile_config.config.get(name)


def is_decayed(optimizer: keras.optimizers.Optimizer, variable: tf.Variable) -> bool:
    """Whether weight decay is for a variable (`exclude_from_weight_decay`)."""
    return optimizer._use_weight_decay(variable)


def built_for(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """The variables that an optimizer was built for, in order."""
    return list(optimizer._trainable_variables)


def position_of(optimizer: keras.optimizers.Optimizer, variable: tf.Variable) -> int:
    """A variable's position among those that the optimizer was built for."""
    return optimizer._get_variable_index(variable)


def resolved_loss(loss: Any, targets: Any, outputs: Any) -> keras.losses.Loss:
    """The loss that Keras takes for an argument of `compile`; `keras.losses.get` does not know "crossentropy"."""
    return get_loss(loss, targets, outputs)


def loss_weights(model: keras.Model) -> Any:
    """The loss weights given to `compile`; None without."""
    return getattr(model._compile_loss, "_user_loss_weights", None)


def assert_compiled(model: keras.Model, method: str) -> None:
    """Raises Keras' own error where `compile` was not called."""
    model._assert_compile_called(method)


def restored_epoch(model: keras.Model) -> int | None:
    """The epoch that a callback restored in `on_train_begin` (BackupAndRestore does); None without."""
    return model._initial_epoch or None


def mask_of(tensor: tf.Tensor) -> tf.Tensor | None:
    """The mask that Keras hangs on a layer's output, for which it has no public function."""
    return getattr(tensor, "_keras_mask", None)


def keep_mask(tensor: tf.Tensor, made_of_it: tf.Tensor) -> None:
    """Hangs the mask of a tensor, if it has one, on another that was made of it."""
    put_mask(made_of_it, mask_of(tensor))


def put_mask(tensor: tf.Tensor, mask: tf.Tensor | None) -> None:
    """Hangs a mask on a tensor, if there is one."""
    if mask is not None:
        tensor._keras_mask = mask


def current_graph() -> tf.Graph | None:
    """The graph being traced; None in eager code."""
    return None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()


def is_within_loop(graph: tf.Graph | None) -> bool:
    """Whether a graph is the body of a `tf.while_loop`, or inside one: TensorFlow marks bodies by a private class."""
    while graph is not None:
        if isinstance(graph, control_flow_v2_func_graphs.WhileBodyFuncGraph):
            return True
        graph = getattr(graph, "outer_graph", None)
    return False


def recomputed_function(function: Callable) -> Callable | None:
    """The function given to `tf.recompute_grad`, from the inner function it makes of it; None for any other."""
    if getattr(function, "__qualname__", "") != "recompute_grad.<locals>.inner":
        return None
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    return cells["f"].cell_contents


def run_inline(function: tf.types.experimental.PolymorphicFunction, args: Any, kwargs: Any) -> Any:
    """Runs the Python under a `tf.function`, converted by autograph, or not, as a trace of it would be."""
    python, status = function.python_function, ag_ctx.Status.DISABLED
    if function._autograph:
        python, status = autograph_util.py_func_from_autograph(python), ag_ctx.Status.ENABLED
    with ag_ctx.ControlStatusCtx(status=status):
        return python(*args, **kwargs)


def gpu_memory_limits() -> list[int]:
    """Bytes that TensorFlow may take of each GPU; no public function tells."""
    from tensorflow.python.client import device_lib  # loaded where it is needed: it starts the devices

    return [d.memory_limit for d in device_lib.list_local_devices() if d.device_type == "GPU"]


def is_gradient_registry(candidate: Any) -> bool:
    """Whether this is TensorFlow's table operation -> gradient function."""
    return candidate is ops.gradient_registry


def has_gradient(operation_type: str) -> bool:
    """Whether that table has a gradient function for an operation."""
    try:
        return ops.gradient_registry.lookup(operation_type) is not None
    except LookupError:
        return False


@functools.cache
def compiled_by_xla() -> frozenset[str]:
    """Types of the operations that XLA compiles for the devices there are; TensorFlow has no public list."""
    gpu = bool(tf.config.list_physical_devices("GPU"))
    return frozenset(pywrap_xla_ops.get_gpu_kernel_names() if gpu else pywrap_xla_ops.get_cpu_kernel_names())


Handler = Callable[..., Any]
"""Called as `handler(original, *args, **kwargs)` in place of an intercepted function."""


class Interception:
    """A function of TensorFlow that threads can have handled by their own handler, for a while.

    The function is replaced while at least one thread asks for it; other threads get what it was.

    Args:
        owner: The module or class that holds it.
        name: Its name there.
    """

    def __init__(self, owner: Any, name: str):
        self._owner = owner
        self._name = name
        self._lock = threading.Lock()
        self._entered = 0
        self._thread = threading.local()
        self._original: Callable = getattr(owner, name)

    @contextlib.contextmanager
    def by(self, handler: Handler) -> Iterator[None]:
        """Within it, this thread's calls go to the handler; within that of another, `original` is the other one."""
        outer = getattr(self._thread, "handler", None)
        with self._lock:
            if not self._entered:
                self._original = getattr(self._owner, self._name)
                setattr(self._owner, self._name, self._replacement())
            self._entered += 1
        if outer is None:
            self._thread.handler = handler
        else:
            self._thread.handler = lambda original, *args, **kwargs: handler(
                functools.partial(outer, original), *args, **kwargs
            )
        try:
            yield
        finally:
            self._thread.handler = outer
            with self._lock:
                self._entered -= 1
                if not self._entered:
                    setattr(self._owner, self._name, self._original)

    def _replacement(self) -> Callable:
        original = self._original

        def dispatch(*args: Any, **kwargs: Any) -> Any:  # a plain function, so that it binds as a method too
            handler = getattr(self._thread, "handler", None)
            return original(*args, **kwargs) if handler is None else handler(original, *args, **kwargs)

        return dispatch


# A `tf.custom_gradient` function is applied here, (function, args, kwargs): one for graphs, one for eager code.
GRAPH_CUSTOM_GRADIENTS = Interception(custom_gradient, "_graph_mode_decorator")
EAGER_CUSTOM_GRADIENTS = Interception(custom_gradient, "_eager_mode_decorator")
# A `tf.function` is called here; it keeps traces, with the weights that were in force at the time.
TF_FUNCTION_CALLS = Interception(polymorphic_function.Function, "__call__")
# Tapes and gradient functions ask here for the gradient of an operation by its type: what they ask for is on
# the way from the result to what is differentiated by, in nested functions too.
GRADIENT_LOOKUPS = Interception(registry.Registry, "lookup")
# What layers call to exchange data between replicas; a single replica gets its own back and no operation.
ALL_REDUCES = Interception(tf.distribute.ReplicaContext, "all_reduce")
MERGE_CALLS = Interception(tf.distribute.ReplicaContext.__mro__[1], "merge_call")
