"""Kinds of TensorFlow's operations that the audit tells apart, by their types."""

TRULY_ZERO = frozenset(
    {
        "ApproximateEqual",
        "BroadcastGradientArgs",
        "ConcatOffset",
        "Equal",
        "Greater",
        "GreaterEqual",
        "InvertPermutation",
        "Less",
        "LessEqual",
        "LogicalAnd",
        "LogicalNot",
        "LogicalOr",
        "NotEqual",
        "OnesLike",
        "Rank",
        "Shape",
        "ShapeN",
        "Size",
        "StopGradient",
        "ZerosLike",
    }
)
"""Operations that TensorFlow rightly marks as not differentiable: integers, truth values and constants do not move
with the inputs, or are not meant to. (Sign, Floor, Round, Cast, ArgMax, ... have gradient functions, which return
nothing; integers are asked for where a gradient function, of average pooling, hands something on to a shape.)"""

NOT_IN_XLA = frozenset({"OptionalFromValue", "OptionalNone", "Placeholder"})
"""Operations of a graph that are not there, or others, once XLA compiles it: arguments, and what a condition keeps for
its gradient."""

OUTSIDE = frozenset({"EagerPyFunc", "PyFunc", "PyFuncStateless", "Timestamp"})
"""Operations whose results come from outside of the graph: Python functions, the clock."""

RANDOM = frozenset(
    {
        "AllCandidateSampler",
        "FixedUnigramCandidateSampler",
        "LearnedUnigramCandidateSampler",
        "LogUniformCandidateSampler",
        "Multinomial",
        "ParameterizedTruncatedNormal",
        "RandomCrop",
        "RandomGamma",
        "RandomPoisson",
        "RandomPoissonV2",
        "RandomShuffle",
        "RandomStandardNormal",
        "RandomUniform",
        "RandomUniformInt",
        "RngReadAndSkip",
        "RngSkip",
        "SampleDistortedBoundingBox",
        "SampleDistortedBoundingBoxV2",
        "StatefulRandomBinomial",
        "StatefulStandardNormal",
        "StatefulStandardNormalV2",
        "StatefulTruncatedNormal",
        "StatefulUniform",
        "StatefulUniformFullInt",
        "StatefulUniformInt",
        "ThreadUnsafeUnigramCandidateSampler",
        "TruncatedNormal",
        "UniformCandidateSampler",
    }
)
"""Operations that draw from a state within TensorFlow, also where a seed is given."""
RANDOM_POOLING = frozenset({"FractionalAvgPool", "FractionalMaxPool"})
"""Random too, but for their attribute `deterministic`."""
ASSIGNING = ("Assign", "LookupTableI", "LookupTableRemove", "Resource", "StridedSliceAssign")
"""How the types of operations begin that change a variable or table."""
READING_RESOURCES = ("ResourceGather", "ResourceGatherNd")
COLLECTIVE = ("AllToAll", "Collective", "CrossReplica", "Nccl", "_Nccl", "XlaAllReduce")
CONTROL_FLOW = frozenset({"Case", "If", "StatelessCase", "StatelessIf", "StatelessWhile", "While"})
FUNCTION_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
"""They have the gradients of the operations within."""
