"""Words of English and Russian that do not say what a question is about. Lower case, е for ё."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


QUESTION_WORDS = _set(
    """
    what which who whom whose when where why how
    что чего чему чем какой какая какое какие каких каким какими какого какому какую каком каков какова каковы
    кто кого кому кем чей чья чье чьи когда где куда откуда зачем почему отчего как сколько насколько
    """
)
PERSONAL = _set(
    """
    it its they them their theirs he him his she her hers
    он она оно они его ее их него нее них ему ей им нему ней ним ими ними нем ею нею
    """
)
"""Pronouns of what was named before."""
POSSESSIVE = _set("its their his her его ее их")
POINTING = _set(
    """
    this these those there same else latter former ones another others
    этот эта это эти этого этой этому эту этим этом этих этими тот та те того той тому ту тех теми
    там туда оттуда тогда тут здесь остальные остальных остальным еще
    """
)
OPENERS = _set("and but so or also then а и но или тогда")
"""How a question goes on with the one before."""
AUXILIARIES = _set(
    """
    am is are was were be been do does did done have has had can could may might must shall should will would
    есть был была было были будет будут можно нужно надо нельзя должен должна должно должны может могут могу
    """
)
PREPOSITIONS = _set(
    """
    about after as at before by during except for from in inside into instead of on outside over per since
    than through to under until up via with within without like
    без в во вместо для до за из к ко кроме на над о об от перед по под после при про ради с со среди у через
    """
)
CONJUNCTIONS = _set(
    """
    and but or if when while because since although though that which who whose where whether than until
    before after unless
    и а но или если когда пока потому поскольку хотя что чтобы который которая которое которые которого
    которой которым которых где куда как раз чем либо ли
    """
)
"""What can begin another clause."""
CONVERSATION = _set(
    """
    tell say explain elaborate describe show give continue go mean means example examples detail details more
    further please thanks thank ok okay yes no not only exactly really me us
    расскажи расскажите скажи скажите объясни объясните поясни поясните опиши опишите покажи покажите дай
    дайте продолжай продолжайте приведи приведите пример примеры примера подробнее подробней подробности
    детали дальше больше пожалуйста спасибо да нет не только именно конкретно точнее мне нам
    """
)
"""Words of talking about answers."""
_OTHERS = _set(
    """
    a an the i you your yours we our ours my mine myself yourself itself himself herself themselves that one
    any some each every all both few much many most other own very too just ever never s t d ll re ve m don
    doesn didn isn aren wasn weren won yet still now here out off down long far old often kind sort there let
    being having

    я ты вы мы меня тебя вас нас тебе вам мной тобой вами нами мой моя мое мои твой ваш ваша ваше ваши
    наш наша наше наши свой своя свое свои своего своей своих себя себе быть буду бы же ли ль то вот ну уж уже
    лишь даже весь вся все всех всего всем каждый любой сам сама само сами можем такой такая такое такие
    такого таких том тем ни так очень ведь разве неужели насчет котором которую которыми
    """
)
FUNCTION_WORDS = frozenset.union(
    QUESTION_WORDS,
    PERSONAL,
    POINTING,
    OPENERS,
    AUXILIARIES,
    PREPOSITIONS,
    CONJUNCTIONS,
    CONVERSATION,
    _OTHERS,
)
